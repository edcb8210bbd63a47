"""`History`: what a process's queues did in the last hour, by ten seconds, and in the last day, by five minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lagoqueue.job import Job
from lagoqueue.monitor.activity import QueueActivity, in_parts
from lagoqueue.monitor.durations import slot_of
from lagoqueue.monitor.points import HOUR, KEPT, ThroughputPoint, bucket_of, buckets, history_points
from lagoqueue.monitor.stats import Observable
from lagoqueue.monitor.tally import (
    FAILED,
    PROCESSED,
    PUSHED,
    RETRIED,
    RUN,
    WAIT,
    Tally,
    new_tally,
    point,
    run_of,
    total,
    wait_of,
)
from lagoqueue.observer import Observer


class History(Observer):
    """Counts what happens to jobs under each label, how long they wait and how long they run.

    `history.observe(worker)` feeds it. A job waits from when it is due until its handler begins. Safe
    from threads. Memory grows with the number of labels (by 200 KB for one that is busy all day),
    never with the number of jobs.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Begin with nothing.

        Args:
            clock: Returns the wall clock in seconds since the epoch.
        """
        self._clock = clock
        self._lock = threading.Lock()
        # By the seconds that a bucket covers, by where it begins, by label.
        self._buckets: dict[int, dict[int, dict[str, Tally]]] = {seconds: {} for seconds in KEPT}
        self._last: dict[str, float] = {}

    def observe(self, worker: Observable) -> None:
        """Count everything that happens to the jobs of `worker`, and the pushes to its queue."""
        worker.observe(self)

    # --- Counting -----------------------------------------------------------------------------------

    def pushed(self, job: Job) -> None:
        self._count(job.queue, PUSHED)

    def started(self, job: Job) -> None:
        if job.available_at is not None:  # else a driver does not tell when it was due
            self._count(job.queue, WAIT + slot_of(self._clock() - job.available_at.timestamp()))

    def processed(self, job: Job, seconds: float) -> None:
        self._count(job.queue, PROCESSED, RUN + slot_of(seconds))

    def failed(self, job: Job, error: BaseException) -> None:
        self._count(job.queue, FAILED)

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self._count(job.queue, RETRIED)

    def _count(self, queue: str, *places: int) -> None:
        with self._lock:
            now = self._clock()
            for seconds in KEPT:
                tally = self._tally(seconds, bucket_of(now, seconds), queue)
                for place in places:
                    tally[place] += 1
            if PROCESSED in places:
                self._last[queue] = now

    def _tally(self, seconds: int, start: int, queue: str) -> Tally:
        kept = self._buckets[seconds]
        labels = kept.get(start)
        if labels is None:
            for old in [each for each in kept if each < start - KEPT[seconds]]:
                del kept[old]
            labels = kept[start] = {}
        tally = labels.get(queue)
        if tally is None:
            tally = labels[queue] = new_tally()
        return tally

    # --- Reading ------------------------------------------------------------------------------------

    def points(self, queue: str | None = None, *, minutes: int = HOUR) -> list[ThroughputPoint]:
        """Return what was done under a label, or under all together, oldest first; see `history_points`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        now = self._clock()
        counted: list[ThroughputPoint] = []
        for start, labels in self._rows(buckets(now, minutes)):
            if queue is None:
                counted.append(point(start, total(labels.values())))
            elif queue in labels:
                counted.append(point(start, labels[queue]))
        return history_points(counted, now, minutes)

    def activity(self, *, minutes: int = HOUR) -> list[QueueActivity]:
        """Return what was done under each label, sorted; see `DetailedInspector.activity`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        window = buckets(self._clock(), minutes)
        with self._lock:
            last = self._last.copy()
        rows: dict[str, dict[int, Tally]] = {label: {} for label in last}
        for start, labels in self._rows(window):
            for label, tally in labels.items():
                rows.setdefault(label, {})[start] = tally
        return [self._activity(label, window, counted, last.get(label)) for label, counted in sorted(rows.items())]

    def _activity(self, label: str, window: range, counted: dict[int, Tally], last: float | None) -> QueueActivity:
        together = total(counted.values())
        return QueueActivity(
            label,
            run_of(together),
            wait_of(together),
            in_parts(window, {start: tally[PROCESSED] for start, tally in counted.items()}),
            in_parts(window, {start: tally[FAILED] for start, tally in counted.items()}),
            None if last is None else datetime.fromtimestamp(last, UTC),
            together[PUSHED],
        )

    def _rows(self, window: range) -> list[tuple[int, dict[str, Tally]]]:
        """Return what was counted by where a bucket begins and by label, from a window's first bucket on.

        Counting waits only for this, and not for the sums: the rows are those that are counted in.
        """
        with self._lock:
            kept = self._buckets[window.step]
            return [(start, labels.copy()) for start, labels in kept.items() if start >= window.start]
