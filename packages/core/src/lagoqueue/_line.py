"""The waiting jobs of a `MemoryQueue`: an `Entry` a live job, a `Line` a label."""

from __future__ import annotations

from datetime import datetime

from lagoqueue._heap import DelayHeap
from lagoqueue.job import Job


class Entry:
    """A live job and where it is: `handle` is its place in its line, or among the reservations.

    `available_at` is there once it waits, and the two instants of a reservation, on the monotonic clock,
    while `receipt` is.
    """

    __slots__ = ("available_at", "due", "handle", "job", "receipt", "reserved_at", "reserved_until", "sequence")

    available_at: datetime
    reserved_at: float
    reserved_until: float

    def __init__(self, job: Job, sequence: int) -> None:
        self.job = job
        self.sequence = sequence
        self.due = 0.0
        self.handle = 0
        self.receipt: str | None = None


class Line:
    """The jobs that wait under one label: a heap for each priority, highest first."""

    __slots__ = ("heaps",)

    def __init__(self) -> None:
        self.heaps: dict[int, DelayHeap[Entry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.heaps.values()))

    def __bool__(self) -> bool:
        return bool(self.heaps)

    def push(self, entry: Entry) -> int:
        priority = entry.job.priority
        heap = self.heaps.get(priority)
        if heap is None:
            heap = self.heaps[priority] = DelayHeap()
            if len(self.heaps) > 1:
                self.heaps = dict(sorted(self.heaps.items(), reverse=True))
        return heap.push(entry.due, entry, entry.sequence)

    def pop_due(self, now: float) -> Entry | None:
        for priority, heap in self.heaps.items():
            entry = heap.pop_due(now)
            if entry is not None:
                if not heap:
                    del self.heaps[priority]
                return entry
        return None

    def next_due(self) -> float:
        return min(heap.peek_due() for heap in self.heaps.values())

    def in_order(self) -> list[Entry]:
        return [entry for heap in self.heaps.values() for entry in heap.items()]
