"""`History`: what a process's queues did in the last hour, by ten seconds, and in the last day, by five minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lagoqueue.job import Job
from lagoqueue.monitor.activity import QueueActivity, in_parts
from lagoqueue.monitor.durations import slot_of
from lagoqueue.monitor.points import HOUR, KEPT, ThroughputPoint, bucket_of, bucket_seconds, buckets, history_points
from lagoqueue.monitor.stats import Observable
from lagoqueue.monitor.tally import (
    FAILED,
    PROCESSED,
    PUSHED,
    RETRIED,
    RUN,
    WAIT,
    Tally,
    add,
    new_tally,
    point,
    run_of,
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
        seconds = bucket_seconds(minutes)
        counted: list[ThroughputPoint] = []
        with self._lock:
            for start, labels in self._buckets[seconds].items():
                together = new_tally()
                for label, tally in labels.items():
                    if queue in (None, label):
                        add(together, tally)
                counted.append(point(start, together))
        return history_points(counted, self._clock(), minutes)

    def activity(self, *, minutes: int = HOUR) -> list[QueueActivity]:
        """Return what was done under each label, sorted; see `DetailedInspector.activity`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        window = buckets(self._clock(), minutes)
        totals: dict[str, Tally] = {}
        processed: dict[str, dict[int, int]] = {}
        failed: dict[str, dict[int, int]] = {}
        with self._lock:
            for label in self._last:
                totals[label] = new_tally()
            for start, labels in self._buckets[window.step].items():
                if start < window.start:
                    continue
                for label, tally in labels.items():
                    add(totals.setdefault(label, new_tally()), tally)
                    processed.setdefault(label, {})[start] = tally[PROCESSED]
                    failed.setdefault(label, {})[start] = tally[FAILED]
            last = {label: datetime.fromtimestamp(at, UTC) for label, at in self._last.items()}
        return [
            QueueActivity(
                label,
                run_of(total),
                wait_of(total),
                in_parts(window, processed.get(label, {})),
                in_parts(window, failed.get(label, {})),
                last.get(label),
                total[PUSHED],
            )
            for label, total in sorted(totals.items())
        ]
