"""`Inspector`: what a page or a command line may see and do, and the one over memory."""

from __future__ import annotations

from typing import Protocol

from lagoqueue.errors import ReadOnly
from lagoqueue.job import Job
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.monitor.stats import Stats
from lagoqueue.monitor.views import PAGE_SIZE, JobView, QueueStats, StatsView, page_offset


class Inspector(Protocol):
    """The seam between a store and those who look at it. Pages are counted from 1, 50 rows each."""

    async def stats(self) -> StatsView:
        """Return the counters of every queue and their totals."""
        ...

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        """Return one page of the jobs that wait under a label, in the order in which they run.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        ...

    async def failed(self, page: int = 1) -> list[JobView]:
        """Return one page of failed jobs, newest first.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        ...

    async def retry(self, job_id: str) -> None:
        """Put a failed job back in its queue and drop its record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
            ReadOnly: There is no failed-jobs store.
        """
        ...

    async def forget(self, job_id: str) -> None:
        """Drop the record of a failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            ReadOnly: There is no failed-jobs store.
        """
        ...

    async def flush_failed(self) -> int:
        """Drop the record of every failed job and return how many there were.

        Raises:
            ReadOnly: There is no failed-jobs store.
        """
        ...


class Browsable(Protocol):
    """A queue that can show what waits in it without taking it; a `MemoryQueue` is one."""

    def waiting(self, label: str, offset: int, limit: int) -> list[Job]:
        """Return the jobs that wait under a label, due or delayed, in the order of `pop`."""
        ...


class MemoryInspector:
    """An `Inspector` over what this process holds: counters, a failed-jobs store and a queue.

    Any of the three may be missing: there is then nothing to see of it, and without a store the
    three methods that act on failed jobs raise `ReadOnly`.
    """

    def __init__(
        self, stats: Stats | None = None, failed: FailedJobs | None = None, *, queue: Browsable | None = None
    ) -> None:
        self._stats = stats
        self._failed = failed
        self._queue = queue

    async def stats(self) -> StatsView:
        """Return the counters of every queue and their totals."""
        if self._stats is None:
            return StatsView(queues=[], totals=QueueStats(""))
        return self._stats.snapshot()

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        """Return one page of the jobs that wait under a label, in the order in which they run.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        offset = page_offset(page)
        if self._queue is None:
            return []
        return [JobView.of(job) for job in self._queue.waiting(queue, offset, PAGE_SIZE)]

    async def failed(self, page: int = 1) -> list[JobView]:
        """Return one page of failed jobs, newest first.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        page_offset(page)  # refuses the same pages with and without a store
        if self._failed is None:
            return []
        return [
            JobView.of(record.job, queue=record.queue, error=record.error, failed_at=record.failed_at)
            for record in await self._failed.list(page)
        ]

    async def retry(self, job_id: str) -> None:
        """Put a failed job back in its queue and drop its record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
            ReadOnly: There is no failed-jobs store.
        """
        await self._store("retry").retry(job_id)

    async def forget(self, job_id: str) -> None:
        """Drop the record of a failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            ReadOnly: There is no failed-jobs store.
        """
        await self._store("forget").forget(job_id)

    async def flush_failed(self) -> int:
        """Drop the record of every failed job and return how many there were.

        Raises:
            ReadOnly: There is no failed-jobs store.
        """
        return await self._store("flush_failed").flush()

    def _store(self, action: str) -> FailedJobs:
        if self._failed is None:
            raise ReadOnly(
                f"{action}: this inspector has no failed-jobs store; give it one, as in MemoryInspector(stats, failed)"
            )
        return self._failed
