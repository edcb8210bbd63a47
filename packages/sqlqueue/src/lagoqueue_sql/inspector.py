"""`SQLInspector`: what all processes that use a queue's tables did and hold, for pages and command lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from lagoqueue.errors import DriverError, InvalidValue
from lagoqueue.monitor import (
    PAGE_SIZE,
    HealthCheck,
    JobDetail,
    JobPage,
    JobView,
    LiveState,
    QueueActivity,
    QueueDepth,
    StatsView,
    ThroughputPoint,
    WorkerView,
    page_offset,
)
from lagoqueue.monitor.paging import live_state, queue_label, row_limit
from lagoqueue.monitor.points import HOUR, bucket_seconds
from lagoqueue_sql import health, looking, looking_counted
from lagoqueue_sql.failed import SQLFailedJobs
from lagoqueue_sql.link import Link
from lagoqueue_sql.queue import LOOKING, SQLQueue
from lagoqueue_sql.statements_looking import LookingStatements

T = TypeVar("T")

TOGETHER = 2.5
"""Seconds that all checks of the health may take: a page that waits for three would show none of them."""


class SQLInspector:
    """A `DetailedInspector` over the tables of a `SQLQueue`, whichever processes use them.

    ::

        inspector = SQLInspector(queue)

    It looks over a connection of its own, which is opened when it is first used and closed with the
    queue. So it holds no worker up, and a look that takes longer than 2 seconds raises `DriverError`.

    Args:
        queue: The queue itself, and no named view of it.

    Raises:
        InvalidValue: It is something else.
    """

    def __init__(self, queue: SQLQueue) -> None:
        if not isinstance(queue, SQLQueue):
            raise InvalidValue(f"SQLInspector needs a SQLQueue, not a {type(queue).__name__}")
        self._queue = queue
        self._table = queue._schema.jobs.name

    async def stats(self) -> StatsView:
        """Return the counters of every label and their totals, of all processes since the tables were made.

        Other processes add what they have done every 2 seconds; this one does so first.
        """
        await self._count()
        return await self._look(lambda link, sql, now: looking_counted.stats(link, sql, now, self._table))

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        """Return one page of the jobs that wait under a label, due or delayed, in the order in which they run.

        `jobs` costs less far from the start.

        Raises:
            InvalidValue: `page` is not a whole number from 1, or `queue` is no label.
        """
        offset = page_offset(page)
        queue_label(queue)
        return await self._look(lambda link, sql, now: looking.pending_page(link, sql, now, queue, offset))

    async def failed(self, page: int = 1) -> list[JobView]:
        """Return one page of failed jobs, newest first; `failed_jobs.search` costs less far from the start.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        offset = page_offset(page)
        return await self._look(lambda link, sql, now: looking.failed_page(link, sql, offset))

    async def retry(self, job_id: str) -> None:
        """Put a failed job back in its queue and drop its record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
        """
        await self.failed_jobs.retry(job_id)

    async def forget(self, job_id: str) -> None:
        """Drop the record of a failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        await self.failed_jobs.forget(job_id)

    async def flush_failed(self) -> int:
        """Drop the record of every failed job and return how many there were."""
        return await self.failed_jobs.flush()

    # --- In detail ----------------------------------------------------------------------------------

    @property
    def failed_jobs(self) -> SQLFailedJobs:
        """The store with which failed jobs are searched, grouped, retried and dropped."""
        return self._queue.failed_jobs

    async def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any job, live or failed, sorted by label.

        Of reservations, which have no index by label, it looks at 100,000 in all. One that has expired
        counts as reserved until a worker has noticed.
        """
        return await self._look(looking.depths)

    async def jobs(
        self, state: LiveState, queue: str | None = None, *, after: str | None = None, limit: int = PAGE_SIZE
    ) -> JobPage:
        """Return some of the live jobs in one state; see `lagoqueue.monitor.DetailedInspector.jobs`.

        Raises:
            InvalidValue: An argument is not what it may be.
        """
        live_state(state)
        row_limit(limit)
        if queue is not None:
            queue_label(queue)
        if state == "reserved":
            return await self._look(lambda link, sql, now: looking.reserved_page(link, sql, queue, after, limit))
        return await self._look(lambda link, sql, now: looking.waiting_page(link, sql, now, state, queue, after, limit))

    async def job(self, job_id: str) -> JobDetail:
        """Return one live job whole.

        Raises:
            JobNotFound: No live job has this id.
        """
        return await self._look(lambda link, sql, now: looking.detail(link, sql, now, job_id))

    async def workers(self) -> list[WorkerView]:
        """Return the workers that live, the one that started first before others; 1,000 at most.

        Each has up to 50 of the jobs that it has reserved, of the 10,000 whose reservations end first.
        """
        return await self._look(lambda link, sql, now: looking.workers(link, sql, now, self._table))

    async def history(self, queue: str | None = None, *, minutes: int = HOUR) -> list[ThroughputPoint]:
        """Return what all processes did up to now, oldest first; see `lagoqueue.monitor.DetailedInspector.history`.

        Other processes add what they have done every 2 seconds, and it counts as of then. A job waits
        from when it is due until it is reserved, by the store's clock; if it is reserved ahead of its
        turn (`prefetch`), what it waits from there on in its worker is not counted.

        Raises:
            InvalidValue: `queue` is no label, or `minutes` not a whole number from 1 to 1,440.
        """
        if queue is not None:
            queue_label(queue)
        bucket_seconds(minutes)
        await self._count()
        return await self._look(
            lambda link, sql, now: looking_counted.history(link, sql, now, self._table, queue, minutes)
        )

    async def activity(self, *, minutes: int = HOUR) -> list[QueueActivity]:
        """Return what all processes did under each label; see `lagoqueue.monitor.DetailedInspector.activity`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        bucket_seconds(minutes)
        await self._count()
        return await self._look(lambda link, sql, now: looking_counted.activity(link, sql, now, self._table, minutes))

    async def health(self) -> list[HealthCheck]:
        """Look at what can go wrong in the database, and say what was found.

        In all: how long a round trip takes, and reservations that ran out and that nobody took back. In
        PostgreSQL: dead rows, and the transactions and replication slots that keep vacuum from removing
        them; in MySQL and MariaDB: old transactions; in SQLite: the write-ahead log.

        Each look may take 2 seconds, and all of them 2.5. One that fails, or for which no time is left,
        says so, and if the first fails, the others are not made.
        """
        found: list[HealthCheck] = []
        end = asyncio.get_running_loop().time() + TOGETHER
        for check in (*health.CHECKS, *self._queue._database.checks):
            try:
                try:
                    async with asyncio.timeout_at(end):
                        found.append(await self._look(check.look))
                except TimeoutError:
                    raise DriverError(f"no time was left of the {TOGETHER:g} s that all checks may take") from None
            except DriverError as error:
                found.append(check.failed(error))
                if check is health.ROUND_TRIP:
                    break
        return found

    # --- In the threads -----------------------------------------------------------------------------

    async def _count(self) -> None:
        """Have the queue's own thread write what this process has counted."""
        try:
            async with asyncio.timeout(LOOKING):
                await self._queue._thread.run(self._queue._chores.finish)
        except TimeoutError:
            raise DriverError(
                f"this process could not write its counters within {LOOKING:g} s, since its connection is busy: try again"
            ) from None

    async def _look(self, function: Callable[[Link, LookingStatements, int], T]) -> T:
        """Run a function that reads, with this process's time for stores without a clock."""
        queue = self._queue
        return await queue._aside(lambda link: function(link, queue._looking, queue._now()))
