"""`History`: what a process's queues did in each ten seconds of the last hour."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job
from lagoqueue.monitor.stats import Observable
from lagoqueue.observer import Observer

BUCKET = 10
"""Seconds that one point of a history covers."""

KEPT_MINUTES = 60
"""Minutes that a history looks back at most."""

_NOTHING = (0, 0, 0, 0)


class ThroughputPoint(msgspec.Struct, frozen=True):
    """What was done in ten seconds: one point of a chart.

    Attributes:
        at: When they began, aware UTC.
        pushed, processed, failed, retried: Counted in these ten seconds.
    """

    at: datetime
    pushed: int = 0
    processed: int = 0
    failed: int = 0
    retried: int = 0


def history_points(
    counts: Mapping[int, tuple[int, int, int, int]], now: float, minutes: int = KEPT_MINUTES
) -> list[ThroughputPoint]:
    """Return a point for each ten seconds that are over, oldest first, with zeros where nothing was counted.

    The ten seconds that run are left out: a chart would seem to fall at its end.

    Args:
        counts: Jobs pushed, processed, failed and retried, by the second of the epoch at which each bucket begins.
        now: Seconds since the epoch.
        minutes: How far to look back.

    Raises:
        InvalidValue: `minutes` is not a whole number from 1 to 60.
    """
    if type(minutes) is not int or not 1 <= minutes <= KEPT_MINUTES:
        raise InvalidValue(f"minutes must be a whole number from 1 to {KEPT_MINUTES}, not {minutes!r}")
    end = bucket_of(now)
    return [
        ThroughputPoint(datetime.fromtimestamp(start, UTC), *counts.get(start, _NOTHING))
        for start in range(end - 60 * minutes, end, BUCKET)
    ]


def bucket_of(seconds: float) -> int:
    """Return the second of the epoch at which the bucket of an instant begins."""
    return int(seconds // BUCKET) * BUCKET


class History(Observer):
    """Counts by the ten seconds what happens to jobs under each label, and keeps an hour of it.

    `history.observe(worker)` feeds it. Safe from threads. Memory grows with the number of labels,
    never with the number of jobs.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing.

        Args:
            clock: Returns the wall clock in seconds since the epoch.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[int, Counter[tuple[str, str]]] = {}

    def observe(self, worker: Observable) -> None:
        """Count everything that happens to the jobs of `worker`, and the pushes to its queue."""
        worker.observe(self)

    # --- Counting -----------------------------------------------------------------------------------

    def pushed(self, job: Job) -> None:
        self._count(job.queue, "pushed")

    def processed(self, job: Job, seconds: float) -> None:
        self._count(job.queue, "processed")

    def failed(self, job: Job, error: BaseException) -> None:
        self._count(job.queue, "failed")

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self._count(job.queue, "retried")

    def _count(self, queue: str, event: str) -> None:
        with self._lock:
            start = bucket_of(self._clock())
            bucket = self._buckets.get(start)
            if bucket is None:
                self._forget_before(start - 60 * KEPT_MINUTES)
                bucket = self._buckets[start] = Counter()
            bucket[queue, event] += 1

    def _forget_before(self, start: int) -> None:
        for old in [each for each in self._buckets if each < start]:
            del self._buckets[old]

    # --- Reading ------------------------------------------------------------------------------------

    def points(self, queue: str | None = None, *, minutes: int = KEPT_MINUTES) -> list[ThroughputPoint]:
        """Return what was done under a label, or under all together, oldest first; see `history_points`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 60.
        """
        with self._lock:
            counts = {start: _row(bucket, queue) for start, bucket in self._buckets.items()}
        return history_points(counts, self._clock(), minutes)


def _row(bucket: Counter[tuple[str, str]], queue: str | None) -> tuple[int, int, int, int]:
    found: Counter[str] = Counter()
    for (label, event), count in bucket.items():
        if queue is None or label == queue:
            found[event] += count
    return found["pushed"], found["processed"], found["failed"], found["retried"]
