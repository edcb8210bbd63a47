"""What a `MemoryQueue` shows of itself: depths, lists by state, and one job."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec

from lagoqueue._line import Entry
from lagoqueue._store import Store
from lagoqueue.errors import JobNotFound
from lagoqueue.job import Job
from lagoqueue.monitor.paging import COUNT_CAP, read_cursor, write_cursor
from lagoqueue.monitor.views import JobDetail, JobPage, JobView, LiveState, QueueDepth

_Place = tuple[str, int, float, int]
"""Of a waiting job: label, priority, the moment at which it is due, and number in push order."""

_LAST = 2**63 - 1
"""No job has a larger number."""


class Look:
    """A look at a store. Each of its lines is seen as it is at one moment, while others may push.

    Args:
        store: What is looked at.
        now: The moment, on the monotonic clock.
        offset: Seconds by which the wall clock is ahead of the monotonic one.
    """

    def __init__(self, store: Store, now: float, offset: float) -> None:
        self._now = now
        self._offset = offset
        self._store = store
        self._reserved = store.reserved()

    # --- Depths -------------------------------------------------------------------------------------

    def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any job, sorted by label."""
        reserved = Counter(entry.job.queue for entry in self._reserved)
        pending: Counter[str] = Counter()
        delayed: Counter[str] = Counter()
        oldest: dict[str, float] = {}
        for line in self._store.lines():
            due = line.count_due(self._now)
            pending[line.label] += due
            delayed[line.label] += len(line) - due
            if due:
                oldest[line.label] = max(oldest.get(line.label, 0.0), self._now - line.next_due())
        return [
            QueueDepth(
                label,
                min(pending[label], COUNT_CAP),
                min(delayed[label], COUNT_CAP),
                min(reserved[label], COUNT_CAP),
                oldest=oldest.get(label),
            )
            for label in sorted(pending.keys() | reserved.keys())
        ]

    # --- Lists --------------------------------------------------------------------------------------

    def waiting(self, label: str, offset: int, limit: int) -> list[Job]:
        """Return a slice of the jobs that wait under a label, due or delayed, in pop order."""
        found: list[Job] = []
        for line in self._store.lines(label):
            found += [entry.job for entry in line.first(offset + limit - len(found))]
        return found[offset:]

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
            found = list(islice(self._in_line(state, queue, waiting, limit + 1), limit + 1))
            last = found[limit - 1 : limit]
            cursor = [write_cursor(entry.job.queue, entry.job.priority, *_place(entry)) for entry in last]
        return JobPage([self.view(entry) for entry in found[:limit]], cursor[0] if len(found) > limit else None)

    def _in_line(self, state: LiveState, queue: str | None, after: _Place | None, limit: int) -> Iterator[Entry]:
        for line in self._store.lines(queue):
            start = (-math.inf, -1) if state == "pending" else (self._now, _LAST)
            if after is not None:
                if (line.label, -line.priority) < (after[0], -after[1]):
                    continue
                if (line.label, line.priority) == after[:2]:
                    start = max(start, after[2:])
            for entry in line.first(limit, *start):
                if state == "pending" and entry.due > self._now:
                    break
                yield entry

    def _in_reservation(self, queue: str | None, after: tuple[float, int] | None) -> Iterator[Entry]:
        for entry in sorted(self._reserved, key=_end):
            if queue in (None, entry.job.queue) and (after is None or _end(entry) > after):
                yield entry

    # --- One job ------------------------------------------------------------------------------------

    def detail(self, job_id: str) -> JobDetail:
        """Return all there is to see of a job.

        Raises:
            JobNotFound: No live job has this id.
        """
        entry = self._store.find(job_id)
        if entry is None:
            raise JobNotFound(job_id)
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
            state="reserved" if reserved else "pending" if entry.due <= self._now else "delayed",
            reserved_at=self._instant(entry.reserved_at) if reserved else None,
            reserved_until=self._instant(entry.reserved_until) if reserved else None,
        )

    def _instant(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment + self._offset, UTC)


def _place(entry: Entry) -> tuple[float, int]:
    return entry.due, entry.sequence


def _end(entry: Entry) -> tuple[float, int]:
    return entry.reserved_until, entry.sequence
