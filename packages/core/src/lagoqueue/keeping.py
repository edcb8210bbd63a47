"""`KeeperThread`: beats for a worker's reservations from outside its event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lagoqueue._log import Log
from lagoqueue.job import Job
from lagoqueue.queue import Keeper

_LOG_EVERY = 5.0
"""Seconds between two records of failed beats: a keeper may beat many times while its store is down."""


class KeeperThread:
    """Beats with what a worker holds, at once and every `keeper.interval` seconds, until stopped.

    Args:
        keeper: The driver's, used in this thread only.
        held: Returns the jobs held now; called in this thread.
        lost: Called in this thread with each job whose reservation is gone.
        log: Gets what goes wrong; a failed beat is followed by the next.
    """

    def __init__(
        self, keeper: Keeper, held: Callable[[], Sequence[Job]], lost: Callable[[Job], object], log: Log
    ) -> None:
        self._keeper = keeper
        self._held = held
        self._lost = lost
        self._log = log
        self._log_from = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lagoqueue-keeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._beat()
            while not self._stopping.wait(self._keeper.interval):
                self._beat()
        finally:
            try:
                self._keeper.close()
            except Exception as error:  # the reservations are settled; what is left expires by itself
                self._log.warning("the keeper could not be closed: %s: %s", type(error).__name__, error)

    def _beat(self) -> None:
        jobs = self._held()
        try:
            # failpoint: before_beat
            for job in self._keeper.beat(jobs):
                self._lost(job)
            # failpoint: after_beat
        except Exception as error:
            if (now := time.monotonic()) >= self._log_from:
                self._log_from = now + _LOG_EVERY
                self._log.warning(
                    "the keeper's beat for %d reservations failed; trying again: %s: %s",
                    *(len(jobs), type(error).__name__, error),
                )

    def stop(self, timeout: float) -> None:
        """End the thread and wait for it, up to `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
