"""`MemoryFailedJobs`: the failed-jobs store in this process's memory."""

from __future__ import annotations

import builtins
import inspect
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Self

import msgspec

from lagoqueue._time import at_least_one
from lagoqueue.errors import DuplicateJob, FailedJobNotFound
from lagoqueue.failure import Failure
from lagoqueue.job import MAX_LABEL, Job, check_text
from lagoqueue.monitor.failed import BulkResult, FailedJob, FailedPage, FailedView, FailureGroup
from lagoqueue.monitor.filter import FailedFilter
from lagoqueue.monitor.paging import COUNT_CAP, MAX_ROWS, read_cursor, row_limit, write_cursor
from lagoqueue.monitor.stats import Stats
from lagoqueue.monitor.views import PAGE_SIZE, page_offset

RequeueFunc = Callable[[Job], Awaitable[object]] | Callable[[Job], object]
"""Puts a job back in its queue, such as a queue's `push`; async, or quick and sync."""


class MemoryFailedJobs:
    """A `FailedJobs` in RAM; its records are gone when the process ends.

    Records stay until they are retried or dropped, so a long-lived process should `flush` them
    now and then. Safe from threads.
    """

    def __init__(
        self,
        requeue: RequeueFunc | None = None,
        *,
        stats: Stats | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an empty store.

        Args:
            requeue: What `retry` hands the job to. Without it, `retry` drops the record and
                nothing else.
            stats: Has its retry counter bumped by every retry that requeued a job.
            clock: Returns the wall clock in seconds since the epoch.
        """
        self._requeue = requeue
        self._stats = stats
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._newest = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return True  # an empty store is still a store: `failed or MemoryFailedJobs()` must keep it

    def with_stats(self, stats: Stats) -> Self:
        """Have retries counted in `stats`, and return this store."""
        self._stats = stats
        return self

    def put(self, job: Job, queue: str, error: Failure | BaseException) -> None:
        """Keep a failed job, as `record` does, from code that cannot await.

        Raises:
            InvalidJob: `queue` is a label that no queue can have.
        """
        check_text(queue, "a queue's label", MAX_LABEL)
        failure = error if isinstance(error, Failure) else Failure.of(error)
        record = FailedJob(
            id=job.id,
            queue=queue,
            job=job,
            kind=failure.kind,
            error=failure.error,
            traceback=failure.traceback,
            failed_at=datetime.fromtimestamp(self._clock(), UTC),
        )
        with self._lock:
            self._entries.pop(job.id, None)  # so that it becomes the newest
            self._newest += 1
            self._entries[job.id] = _Entry(record, self._newest)

    async def record(self, job: Job, queue: str, error: Failure | BaseException) -> None:
        """Keep a failed job. One that is recorded again under its id replaces the older record.

        Raises:
            InvalidJob: `queue` is a label that no queue can have.
        """
        self.put(job, queue, error)

    async def list(self, page: int = 1) -> builtins.list[FailedJob]:
        """Return one page, newest first; an empty list past the end.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        start = page_offset(page)
        with self._lock:
            newest_first = reversed(self._entries.values())
            return [entry.record for entry in islice(newest_first, start, start + PAGE_SIZE)]

    async def get(self, job_id: str) -> FailedJob:
        """Return one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        with self._lock:
            entry = self._entries.get(job_id)
        if entry is None:
            raise FailedJobNotFound(job_id)
        return entry.record

    async def retry(self, job_id: str) -> Job:
        """Hand the job to `requeue`, due now with no attempts spent, then drop the record.

        Whatever `requeue` raises leaves the record as it was.

        Returns:
            The job as it was requeued.

        Raises:
            FailedJobNotFound: Nothing is kept under this id, or another retry of it is under way.
            DuplicateJob: A job with this id is live; the record is kept.
        """
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.retrying:
                raise FailedJobNotFound(job_id)
            entry.retrying = True
        return await self._retry(entry)

    async def _retry(self, entry: _Entry) -> Job:
        """Requeue an entry that is marked as `retrying`, and take the mark off again."""
        try:
            record = entry.record
            job = msgspec.structs.replace(record.job, attempts=0, available_at=None, receipt=None, queue=record.queue)
            if self._requeue is not None:
                pushed = self._requeue(job)
                if inspect.isawaitable(pushed):
                    await pushed
            self._drop(entry)
        finally:
            entry.retrying = False
        if self._requeue is not None and self._stats is not None:
            self._stats.on_retried(record.queue)
        return job

    def _drop(self, entry: _Entry) -> None:
        with self._lock:
            # The requeued job may have failed again by now: that newer record must stay.
            if self._entries.get(entry.record.id) is entry:
                del self._entries[entry.record.id]

    async def forget(self, job_id: str) -> None:
        """Drop the record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        with self._lock:
            if self._entries.pop(job_id, None) is None:
                raise FailedJobNotFound(job_id)

    async def flush(self) -> int:
        """Drop every record and return how many there were."""
        with self._lock:
            dropped = len(self._entries)
            self._entries.clear()
        return dropped

    # --- Many at once -------------------------------------------------------------------------------

    async def count(self, filter: FailedFilter | None = None, *, cap: int | None = None) -> int:
        """Return how many records there are, or how many of them a filter means; see `FailedJobs.count`.

        Raises:
            InvalidValue: `cap` is not a whole number from 1.
        """
        if cap is not None:
            at_least_one(cap, "cap")
        meant = filter or FailedFilter()
        with self._lock:
            return sum(meant.matches(entry.record) for entry in islice(self._newest_first(meant), cap))

    async def queues(self) -> dict[str, int]:
        """Return the labels that have records, sorted, each with their number, which stops at 10,000."""
        with self._lock:
            counts = Counter(entry.record.queue for entry in self._entries.values())
        return {label: min(counts[label], COUNT_CAP) for label in sorted(counts)}

    async def search(
        self, filter: FailedFilter | None = None, *, after: str | None = None, limit: int = PAGE_SIZE
    ) -> FailedPage:
        """Return some of the records that a filter means, newest first; see `FailedJobs.search`.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        row_limit(limit)
        meant = filter or FailedFilter()
        (place,) = (None,) if after is None else read_cursor(after, tuple[int])
        with self._lock:
            candidates = (each for each in self._newest_first(meant) if place is None or each.sequence < place)
            found, last = _scan(candidates, meant, limit)
        onward = None if last is None else write_cursor(last)
        return FailedPage([FailedView.of(entry.record) for entry in found], onward)

    async def groups(
        self, filter: FailedFilter | None = None, *, limit: int = PAGE_SIZE
    ) -> builtins.list[FailureGroup]:
        """Return the failures by kind and name, the largest group first; see `FailedJobs.groups`.

        Raises:
            InvalidValue: `limit` is none.
        """
        row_limit(limit)
        meant = filter or FailedFilter()
        members: dict[tuple[str, str], builtins.list[FailedJob]] = {}
        with self._lock:
            for entry in islice(self._newest_first(meant), COUNT_CAP):
                record = entry.record
                if meant.matches(record):
                    members.setdefault((record.kind, record.job.name), []).append(record)
        ordered = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
        return [_group(kind, name, records) for (kind, name), records in ordered[:limit]]

    async def retry_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Retry some of the records that a filter means, oldest first; see `FailedJobs.retry_many`.

        What `requeue` raises, other than `DuplicateJob`, ends the call: the records before are done, and the rest kept.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        with self._lock:
            found, onward = self._batch(filter, after, limit)
        done = 0
        skipped: builtins.list[str] = []
        for entry in found:
            with self._lock:
                if entry.retrying or self._entries.get(entry.record.id) is not entry:
                    continue  # another call was faster
                entry.retrying = True
            try:
                await self._retry(entry)
                done += 1
            except DuplicateJob:
                skipped.append(entry.record.id)
        return BulkResult(done, skipped, onward)

    async def forget_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Drop some of the records that a filter means, oldest first; see `FailedJobs.forget_many`.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        with self._lock:
            found, onward = self._batch(filter, after, limit)
            for entry in found:
                del self._entries[entry.record.id]
        return BulkResult(len(found), [], onward)

    def _batch(self, meant: FailedFilter, after: str | None, limit: int) -> tuple[builtins.list[_Entry], str | None]:
        """Return entries from the oldest on, and the cursor behind them, which carries where the first call ended."""
        row_limit(limit)
        place, end = (0, self._newest) if after is None else read_cursor(after, tuple[int, int])
        candidates = (entry for entry in self._oldest_first(meant) if place < entry.sequence <= end)
        found, last = _scan(candidates, meant, limit)
        return found, None if last is None else write_cursor(last, end)

    def _newest_first(self, meant: FailedFilter) -> Iterator[_Entry]:
        """Yield what a store has to look at: all records, unless the filter names a label or ids."""
        return self._narrowed(meant, reversed(self._entries.values() if meant.ids is None else self._named(meant.ids)))

    def _oldest_first(self, meant: FailedFilter) -> Iterator[_Entry]:
        return self._narrowed(meant, iter(self._entries.values() if meant.ids is None else self._named(meant.ids)))

    def _named(self, ids: tuple[str, ...]) -> builtins.list[_Entry]:
        return sorted((self._entries[one] for one in ids if one in self._entries), key=lambda entry: entry.sequence)

    def _narrowed(self, meant: FailedFilter, entries: Iterator[_Entry]) -> Iterator[_Entry]:
        return (entry for entry in entries if meant.queue is None or entry.record.queue == meant.queue)


class _Entry:
    """A record, its place in the order of recording, and whether a retry of it is under way."""

    __slots__ = ("record", "retrying", "sequence")

    def __init__(self, record: FailedJob, sequence: int) -> None:
        self.record = record
        self.sequence = sequence
        self.retrying = False


def _scan(candidates: Iterator[_Entry], meant: FailedFilter, limit: int) -> tuple[list[_Entry], int | None]:
    """Return up to `limit` entries that are meant, and the place to go on from where there is more to look at."""
    found: list[_Entry] = []
    place = 0
    for looked, entry in enumerate(candidates):
        if looked == COUNT_CAP:
            return found, place
        if meant.matches(entry.record):
            if len(found) == limit:
                return found, place
            found.append(entry)
        place = entry.sequence
    return found, None


def _group(kind: str, name: str, records: list[FailedJob]) -> FailureGroup:
    """Return the group of some records, newest first."""
    instants = [record.failed_at for record in records]  # a wall clock can go back, so they may be in any order
    return FailureGroup(kind, name, len(records), min(instants), max(instants), records[0].id)
