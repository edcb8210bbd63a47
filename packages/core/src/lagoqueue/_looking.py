"""What a `MemoryQueue` shows of itself: depths, lists by state, and one job. Its lock is held meanwhile."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

import msgspec

from lagoqueue._heap import DelayHeap
from lagoqueue._line import Entry, Line
from lagoqueue.monitor.paging import COUNT_CAP, read_cursor, write_cursor
from lagoqueue.monitor.views import JobDetail, JobPage, JobView, LiveState, QueueDepth

_Place = tuple[str, int, float, int]
"""Of a waiting job: label, priority, the moment at which it is due, and number in push order."""


class Look:
    """A queue's structures as they are at one moment.

    Attributes:
        waiting: The line of each label.
        reserved: The reserved jobs.
        now: The moment, on the monotonic clock.
        offset: Seconds by which the wall clock is ahead of the monotonic one.
    """

    def __init__(self, waiting: Mapping[str, Line], reserved: DelayHeap[Entry], now: float, offset: float) -> None:
        self.waiting = waiting
        self.reserved = reserved
        self.now = now
        self.offset = offset

    # --- Depths -------------------------------------------------------------------------------------

    def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any job, sorted by label."""
        reserved = Counter(entry.job.queue for entry in self.reserved.items())
        return [self._depth(label, reserved[label]) for label in sorted(self.waiting.keys() | reserved.keys())]

    def _depth(self, label: str, reserved: int) -> QueueDepth:
        pending = delayed = 0
        oldest: float | None = None
        for heap in self.waiting[label].heaps.values() if label in self.waiting else ():
            waited = self.now - heap.peek_due()
            due = 0
            if waited >= 0:
                due = bisect_right(heap.items(), self.now, key=_due)
                oldest = max(waited, oldest or 0.0)
            pending += due
            delayed += len(heap) - due
        return QueueDepth(
            label, min(pending, COUNT_CAP), min(delayed, COUNT_CAP), min(reserved, COUNT_CAP), oldest=oldest
        )

    # --- Lists --------------------------------------------------------------------------------------

    def page(self, state: LiveState, queue: str | None, after: str | None, limit: int) -> JobPage:
        """Return some of the jobs in one state, as `DetailedInspector.jobs` says.

        Raises:
            InvalidValue: `after` is not the cursor of such a list.
        """
        if state == "reserved":
            reserved = None if after is None else read_cursor(after, tuple[float, int])
            found = list(islice(self._in_reservation(queue, reserved), limit + 1))
            last = found[limit - 1 : limit]
            cursor = [write_cursor(*_end(entry)) for entry in last]
        else:
            waiting = None if after is None else read_cursor(after, tuple[str, int, float, int])
            found = list(islice(self._in_line(state, queue, waiting), limit + 1))
            last = found[limit - 1 : limit]
            cursor = [write_cursor(entry.job.queue, entry.job.priority, *_place(entry)) for entry in last]
        return JobPage([self.view(entry) for entry in found[:limit]], cursor[0] if len(found) > limit else None)

    def _in_line(self, state: LiveState, queue: str | None, after: _Place | None) -> Iterator[Entry]:
        labels = sorted(self.waiting) if queue is None else [queue] if queue in self.waiting else []
        for label in labels:
            for priority, heap in self.waiting[label].heaps.items():
                if after is not None and (label, -priority) < (after[0], -after[1]):
                    continue
                if state == "pending" and heap.peek_due() > self.now:
                    continue
                entries = heap.items()
                middle = bisect_right(entries, self.now, key=_due)
                start, stop = (0, middle) if state == "pending" else (middle, len(entries))
                if after is not None and (label, priority) == after[:2]:
                    start = max(start, bisect_right(entries, after[2:], key=_place))
                yield from islice(entries, start, stop)

    def _in_reservation(self, queue: str | None, after: tuple[float, int] | None) -> Iterator[Entry]:
        for entry in sorted(self.reserved.items(), key=_end):
            if queue in (None, entry.job.queue) and (after is None or _end(entry) > after):
                yield entry

    # --- One job ------------------------------------------------------------------------------------

    def detail(self, entry: Entry) -> JobDetail:
        """Return all there is to see of a job."""
        return JobDetail(
            self.view(entry), msgspec.structs.replace(entry.job, available_at=entry.available_at, receipt=None)
        )

    def view(self, entry: Entry) -> JobView:
        """Return the row that shows a job."""
        job = entry.job
        reserved = entry.receipt is not None
        return JobView(
            id=job.id,
            queue=job.queue,
            name=job.name,
            attempts=job.attempts,
            priority=job.priority,
            available_at=entry.available_at,
            state="reserved" if reserved else "pending" if entry.due <= self.now else "delayed",
            reserved_at=self._instant(entry.reserved_at) if reserved else None,
            reserved_until=self._instant(entry.reserved_until) if reserved else None,
        )

    def _instant(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment + self.offset, UTC)


def _due(entry: Entry) -> float:
    return entry.due


def _place(entry: Entry) -> tuple[float, int]:
    return entry.due, entry.sequence


def _end(entry: Entry) -> tuple[float, int]:
    return entry.reserved_until, entry.sequence
