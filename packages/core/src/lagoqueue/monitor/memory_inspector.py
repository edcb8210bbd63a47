"""`MemoryInspector`: what this process holds, for pages and command lines."""

from __future__ import annotations

from typing import Protocol

import msgspec

from lagoqueue.errors import JobNotFound, ReadOnly
from lagoqueue.job import Job
from lagoqueue.monitor.activity import QueueActivity
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.monitor.health import HealthCheck
from lagoqueue.monitor.history import History
from lagoqueue.monitor.paging import live_state, queue_label, row_limit
from lagoqueue.monitor.points import HOUR, ThroughputPoint, bucket_seconds
from lagoqueue.monitor.stats import Stats
from lagoqueue.monitor.views import (
    PAGE_SIZE,
    JobDetail,
    JobPage,
    JobView,
    LiveState,
    QueueDepth,
    QueueStats,
    StatsView,
    WorkerView,
    page_offset,
)


class Browsable(Protocol):
    """A queue that can show what it holds without taking it; a `MemoryQueue` is one."""

    def waiting(self, label: str, offset: int, limit: int) -> list[Job]:
        """Return the jobs that wait under a label, due or delayed, in the order of `pop`."""
        ...

    def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any live job; of failed jobs it knows nothing."""
        ...

    def browse(self, state: LiveState, queue: str | None, after: str | None, limit: int) -> JobPage:
        """Return a page as `DetailedInspector.jobs` does; the arguments but `after` are as they may be."""
        ...

    def find(self, job_id: str) -> JobDetail:
        """Return one live job whole, or raise `JobNotFound`."""
        ...


class MemoryInspector:
    """A `DetailedInspector` over what this process holds: counters, a failed-jobs store, a queue and a history.

    Any of the four may be missing: there is then nothing to see of it, and without a store the
    three methods that act on failed jobs raise `ReadOnly`. Of workers it knows nothing. Looking at a
    queue in memory sorts what waits there, so with a million jobs it takes some tenths of a second.
    """

    def __init__(
        self,
        stats: Stats | None = None,
        failed: FailedJobs | None = None,
        *,
        queue: Browsable | None = None,
        history: History | None = None,
    ) -> None:
        self._stats = stats
        self._failed = failed
        self._queue = queue
        self._history = history

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

    # --- In detail ----------------------------------------------------------------------------------

    @property
    def failed_jobs(self) -> FailedJobs | None:
        """The store with which failed jobs are searched, grouped, retried and dropped; None without one."""
        return self._failed

    async def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any job, live or failed, sorted by label."""
        live = {} if self._queue is None else {depth.queue: depth for depth in self._queue.depths()}
        failed = {} if self._failed is None else await self._failed.queues()
        return [
            msgspec.structs.replace(live.get(label) or QueueDepth(label), failed=failed.get(label, 0))
            for label in sorted(live.keys() | failed.keys())
        ]

    async def jobs(
        self, state: LiveState, queue: str | None = None, *, after: str | None = None, limit: int = PAGE_SIZE
    ) -> JobPage:
        """Return some of the live jobs in one state; see `DetailedInspector.jobs`.

        Raises:
            InvalidValue: An argument is not what it may be.
        """
        live_state(state)
        row_limit(limit)
        if queue is not None:
            queue_label(queue)
        if self._queue is None:
            return JobPage([], None)
        return self._queue.browse(state, queue, after, limit)

    async def job(self, job_id: str) -> JobDetail:
        """Return one live job whole.

        Raises:
            JobNotFound: No live job has this id.
        """
        if self._queue is None:
            raise JobNotFound(job_id)
        return self._queue.find(job_id)

    async def workers(self) -> list[WorkerView] | None:
        """Return None: a queue in memory is told of jobs, not of who works on them."""
        return None

    async def history(self, queue: str | None = None, *, minutes: int = HOUR) -> list[ThroughputPoint]:
        """Return what was done up to now, oldest first; empty without a history. See `DetailedInspector.history`.

        Raises:
            InvalidValue: `queue` is no label, or `minutes` not a whole number from 1 to 1,440.
        """
        if queue is not None:
            queue_label(queue)
        bucket_seconds(minutes)  # refuses the same values with and without a history
        return [] if self._history is None else self._history.points(queue, minutes=minutes)

    async def activity(self, *, minutes: int = HOUR) -> list[QueueActivity]:
        """Return what was done under each label, sorted; empty without a history. See `DetailedInspector.activity`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        bucket_seconds(minutes)
        return [] if self._history is None else self._history.activity(minutes=minutes)

    async def health(self) -> list[HealthCheck]:
        """Return nothing: there is no store but this process."""
        return []

    def _store(self, action: str) -> FailedJobs:
        if self._failed is None:
            raise ReadOnly(
                f"{action}: this inspector has no failed-jobs store; give it one, as in MemoryInspector(stats, failed)"
            )
        return self._failed
