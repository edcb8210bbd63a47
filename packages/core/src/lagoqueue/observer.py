"""`Observer`: what counters and telemetry implement to see jobs go by."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from lagoqueue.job import Job

_log = logging.getLogger("lagoqueue.observer")


class Observer:
    """Told of every step in a job's life; override what is of interest.

    Called in the thread in which the step happens, after it has happened, so it must be quick and
    safe from threads. What it raises is logged and changes nothing for the job.
    """

    def pushed(self, job: Job) -> None:
        """`dispatch` has pushed the job."""

    def started(self, job: Job) -> None:
        """A handler is about to run."""

    def processed(self, job: Job, seconds: float) -> None:
        """The handler returned after `seconds`, and the job was acknowledged."""

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        """The attempt failed, and the job comes back in `delay` seconds."""

    def failed(self, job: Job, error: BaseException) -> None:
        """The job has left the queue for the failed-jobs store."""

    def released(self, job: Job, delay: float) -> None:
        """The job went back without spending an attempt, and comes again in `delay` seconds."""

    def lost(self, job: Job) -> None:
        """The reservation ended before the job was settled; another delivery will settle it."""


def notify(observers: Iterable[Observer], event: str, *args: object) -> None:
    """Call `event` on each observer, logging what one of them raises."""
    for observer in observers:
        try:
            getattr(observer, event)(*args)
        except Exception:
            _log.exception("observer %r failed in %s", observer, event)
