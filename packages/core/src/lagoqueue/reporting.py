"""`Reporter`: tells log, observers and `on_failed` how a delivery ended, once it has been settled."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from lagoqueue._log import Log, log_fields
from lagoqueue.delivery import Delivery
from lagoqueue.job import Job
from lagoqueue.observer import Observer, notify

OnFailed = Callable[[Job, BaseException], Any]
"""Called with a job that failed for good and its error; may return an awaitable."""


class Reporter:
    """Reports each settled delivery once.

    Attributes:
        observers: Told of each step.
        hooks: Awaitables of `on_failed` that are still under way.
    """

    def __init__(self, observers: list[Observer], on_failed: OnFailed | None, log: Log) -> None:
        self.observers = observers
        self._on_failed = on_failed
        self._log = log
        self.hooks: set[asyncio.Future[Any]] = set()

    def started(self, job: Job) -> None:
        """Tell that a handler is about to run."""
        # failpoint: before_run
        notify(self.observers, "started", job)

    def report(self, batch: Iterable[Delivery], lost: Collection[Delivery] = ()) -> None:
        """Tell how each delivery of a batch ended; `lost` are those whose settlement was refused."""
        for delivery in batch:
            if delivery.error is not None or self.observers or lost:  # else nobody wants to know
                self._report(delivery, delivery in lost)

    def _report(self, delivery: Delivery, lost: bool) -> None:
        job, error, settlement = delivery.job, delivery.error, delivery.settlement
        if delivery.completed:
            if error is not None:
                self._log.warning(
                    "job %s (%s) is done: its handler had completed it before it failed",
                    *(job.id, job.name),
                    exc_info=error,
                    extra=log_fields(job),
                )
            notify(self.observers, "processed", job, delivery.seconds)
        elif lost:
            self._log.warning(
                "the reservation of job %s (%s) was lost, so it will run again", job.id, job.name, extra=log_fields(job)
            )
            notify(self.observers, "lost", job)
        elif error is None:
            notify(self.observers, "processed", job, delivery.seconds)
        elif settlement is None:
            return
        elif settlement.action == "nack":
            self._log.warning(
                "job %s (%s) failed in attempt %d and is retried in %.3g s",
                *(job.id, job.name, job.attempts, settlement.delay),
                exc_info=error,
                extra=log_fields(job),
            )
            notify(self.observers, "retried", job, error, settlement.delay)
        elif settlement.action == "release":
            self._log.info("job %s (%s) is released: %s", job.id, job.name, error, extra=log_fields(job))
            notify(self.observers, "released", job, settlement.delay)
        else:
            self._log.error(
                "job %s (%s) failed for good in attempt %d",
                *(job.id, job.name, job.attempts),
                exc_info=error,
                extra=log_fields(job),
            )
            notify(self.observers, "failed", job, error)
            self._call_on_failed(job, error)

    def _call_on_failed(self, job: Job, error: BaseException) -> None:
        if self._on_failed is None:
            return
        try:
            result = self._on_failed(job, error)
        except Exception:
            self._log.exception("on_failed raised for job %s", job.id, extra=log_fields(job))
            return
        if inspect.isawaitable(result):
            hook = asyncio.ensure_future(result)
            self.hooks.add(hook)
            hook.add_done_callback(lambda hook: self._hook_ended(hook, job))

    def _hook_ended(self, hook: asyncio.Future[Any], job: Job) -> None:
        self.hooks.discard(hook)
        if not hook.cancelled() and (error := hook.exception()) is not None:
            self._log.error("on_failed raised for job %s", job.id, exc_info=error, extra=log_fields(job))
