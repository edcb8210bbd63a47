"""`MemoryFailedJobs`: the failed-jobs store in this process's memory."""

from __future__ import annotations

import builtins
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Self

import msgspec

from lagoqueue.errors import FailedJobNotFound
from lagoqueue.failure import Failure
from lagoqueue.job import MAX_LABEL, Job, check_text
from lagoqueue.monitor.failed import FailedJob
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
            self._entries[job.id] = _Entry(record)

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
        entry = self._claim(job_id)
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

    def _claim(self, job_id: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.retrying:
                raise FailedJobNotFound(job_id)
            entry.retrying = True
            return entry

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

    async def count(self) -> int:
        """Return how many records there are."""
        return len(self)


class _Entry:
    """A record, and whether a retry of it is under way."""

    __slots__ = ("record", "retrying")

    def __init__(self, record: FailedJob) -> None:
        self.record = record
        self.retrying = False
