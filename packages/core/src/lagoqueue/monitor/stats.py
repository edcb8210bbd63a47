"""`Stats`: counters of one process's queues, with a rolling throughput."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from lagoqueue.job import MAX_LABEL, Job, check_text
from lagoqueue.monitor.views import QueueStats, StatsView
from lagoqueue.observer import Observer

WINDOW = 60
"""Seconds that the throughput looks back, and so the number of buckets in a ring."""


class Observable(Protocol):
    """What `Stats.observe` wires itself to; a `Worker` is one."""

    def observe(self, observer: Observer) -> None:
        """Tell the observer of pushes and of what becomes of the jobs, once however often it is added."""


class Stats(Observer):
    """Counts jobs pushed, processed, failed and retried under each queue label.

    `stats.observe(worker)` feeds every counter; the `on_...` methods are for code that counts by
    hand. Safe from threads. Memory grows with the number of labels, never with the number of jobs.

    Throughput is what was processed in the last 60 seconds, counted in buckets of one second,
    divided by 60 or by the seconds since the counters began where those are fewer (but at least 1).
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin all counters at 0.

        Args:
            clock: Returns seconds that never go back.
        """
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._counters: dict[str, _Counters] = {}

    def observe(self, worker: Observable) -> None:
        """Count everything that happens to the jobs of `worker`, and the pushes to its queue."""
        worker.observe(self)

    # --- Counting by hand: the label names the queue ----------------------------------------------

    def on_pushed(self, queue: str) -> None:
        """Count a job that was pushed.

        Raises:
            InvalidJob: The label is one that no queue can have; so with the other three.
        """
        with self._lock:
            self._of(queue).pushed += 1

    def on_processed(self, queue: str) -> None:
        """Count a job that was processed and acknowledged, also towards the throughput."""
        with self._lock:
            self._of(queue).count_processed(self._second())

    def on_failed(self, queue: str) -> None:
        """Count a job that ran out of attempts."""
        with self._lock:
            self._of(queue).failed += 1

    def on_retried(self, queue: str) -> None:
        """Count an attempt that failed and is made again."""
        with self._lock:
            self._of(queue).retried += 1

    # --- Counting as an observer --------------------------------------------------------------------

    def pushed(self, job: Job) -> None:
        self.on_pushed(job.queue)

    def processed(self, job: Job, seconds: float) -> None:
        self.on_processed(job.queue)

    def failed(self, job: Job, error: BaseException) -> None:
        self.on_failed(job.queue)

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self.on_retried(job.queue)

    # --- Reading ------------------------------------------------------------------------------------

    def snapshot(self) -> StatsView:
        """Return all counters as of one moment: a row for each label, sorted, and their totals."""
        with self._lock:
            span = min(float(WINDOW), max(1.0, self._clock() - self._began))
            second = self._second()
            rows = [counters.row(queue, second, span) for queue, counters in self._counters.items()]
        rows.sort(key=lambda row: row.queue)
        return StatsView(queues=rows, totals=_totals(rows))

    def _second(self) -> int:
        return int(self._clock() - self._began)

    def _of(self, queue: str) -> _Counters:
        counters = self._counters.get(queue)
        if counters is None:
            check_text(queue, "a queue's label", MAX_LABEL)
            counters = self._counters[queue] = _Counters()
        return counters


class _Counters:
    """The counters of one label, and a ring with one bucket for each second of the window."""

    __slots__ = ("failed", "processed", "pushed", "retried", "ring", "seconds")

    def __init__(self) -> None:
        self.pushed = self.processed = self.failed = self.retried = 0
        self.ring = [0] * WINDOW
        self.seconds = [-WINDOW] * WINDOW  # which second each bucket counts

    def count_processed(self, second: int) -> None:
        self.processed += 1
        slot = second % WINDOW
        if self.seconds[slot] != second:
            self.seconds[slot] = second
            self.ring[slot] = 0
        self.ring[slot] += 1

    def row(self, queue: str, second: int, span: float) -> QueueStats:
        oldest = second - WINDOW
        recent = sum(count for count, at in zip(self.ring, self.seconds, strict=True) if at > oldest)
        return QueueStats(
            queue=queue,
            pushed=self.pushed,
            processed=self.processed,
            failed=self.failed,
            retried=self.retried,
            pending=max(0, self.pushed - self.processed - self.failed),
            throughput=recent / span,
        )


def _totals(rows: Iterable[QueueStats]) -> QueueStats:
    pushed = processed = failed = retried = pending = 0
    throughput = 0.0
    for row in rows:
        pushed += row.pushed
        processed += row.processed
        failed += row.failed
        retried += row.retried
        pending += row.pending
        throughput += row.throughput
    return QueueStats("", pushed, processed, failed, retried, pending, throughput)
