"""The failed-jobs store in the same database, so that a job leaves one table for the other in one transaction."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lagoqueue._rows import from_micros
from lagoqueue._time import at_least_one
from lagoqueue.errors import DuplicateJob, FailedJobNotFound
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK, Failure, storable
from lagoqueue.job import MAX_LABEL, Job, check_job, check_text
from lagoqueue.monitor import (
    MAX_ROWS,
    PAGE_SIZE,
    BulkResult,
    FailedFilter,
    FailedJob,
    FailedPage,
    FailureGroup,
    page_offset,
)
from lagoqueue.monitor.paging import read_cursor, row_limit
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.failed_search import Batch, IdTaken, Search, flush, newest, page, paged
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import job_row, row_job, to_micros
from lagoqueue_sql.statements import COLUMNS, Statements
from lagoqueue_sql.store import Store

if TYPE_CHECKING:
    from lagoqueue_sql.queue import SQLQueue

_WIDTH = len(COLUMNS.split(","))


def record(link: Link, sql: Statements, rows: Sequence[tuple[dict[str, Any], Failure]], *, now: int) -> None:
    """Keep failed jobs, given as the columns of their jobs; an older record under an id makes room."""
    if not rows:
        return
    link.many(sql.forget, [{"id": row["id"]} for row, _ in rows])
    link.many(
        sql.record,
        [
            {
                **row,
                "kind": storable(failure.kind, MAX_ERROR),
                "error": storable(failure.error, MAX_ERROR),
                "traceback": storable(failure.traceback, MAX_TRACEBACK),
                "now": now,
            }
            for row, failure in rows
        ],
    )


def retry(database: Database, link: Link, sql: Statements, job_id: str, *, now: int) -> Job:
    """Move a failed job back, due now and with no attempts spent; return it as pushed.

    Of two that do it at once one gets the record's row, and the other finds it gone.
    """
    failed = _get(link, sql, job_id).job
    if link.count(sql.forget, {"id": job_id}) == 0:
        raise FailedJobNotFound(job_id)
    # failpoint: inside_retry
    job = Job(failed.id, failed.name, failed.payload, 0, None, failed.queue, failed.priority, failed.headers)
    if database.push(link, sql, [job_row(job, None, now=now)]) == 0:
        raise DuplicateJob(job_id)
    return job


def _get(link: Link, sql: Statements, job_id: str) -> FailedJob:
    rows = link.rows(sql.failed_one, {"id": job_id})
    if not rows:
        raise FailedJobNotFound(job_id)
    return _failed_job(rows[0])


def _failed_job(row: Row) -> FailedJob:
    kind, error, traceback, failed_at = row[_WIDTH:]
    job = row_job(row)
    return FailedJob(job.id, job.queue, job, kind, error, traceback, from_micros(failed_at))


class SQLFailedJobs:
    """The failed jobs of a `SQLQueue`; `queue.failed_jobs` is one. See `lagoqueue.monitor.FailedJobs`.

    What may have to look at many records runs on a connection of its own, beside that of the workers.
    """

    def __init__(self, queue: SQLQueue) -> None:
        self._queue = queue

    async def record(self, job: Job, queue: str, error: Failure | BaseException) -> None:
        """Keep a failed job. One that is recorded again under its id replaces the older record.

        Raises:
            InvalidJob: The job or the label is one that no queue can have.
        """
        check_job(job)
        check_text(queue, "a queue's label", MAX_LABEL)
        failure = Failure.of(error) if isinstance(error, BaseException) else error
        row = job_row(job, None if job.available_at is None else to_micros(job.available_at))
        row["queue"] = queue
        await self._queue._run(lambda link, now: record(link, self._queue._sql, [(row, failure)], now=now))

    async def list(self, page: int = 1) -> builtins.list[FailedJob]:
        """Return one page of 50, newest first; an empty list past the end. `search` costs less far from the start.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        offset, queue = page_offset(page), self._queue
        rows = await queue._aside(lambda link: paged(link, queue._looking, queue._sql.failed_page, offset))
        return [_failed_job(row) for row in rows]

    async def get(self, job_id: str) -> FailedJob:
        """Return one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        return await self._queue._run(lambda link, now: _get(link, self._queue._sql, job_id), Mode.READ)

    async def retry(self, job_id: str) -> Job:
        """Put the job back in its queue, due now with no attempts spent, and drop the record: one transaction.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
        """
        queue = self._queue

        def move(store: Store) -> Job:
            job = store.run(
                lambda link: retry(queue._database, link, queue._sql, job_id, now=queue._now()), Mode.ATOMIC
            )
            queue._operations.retried([(job.queue, job.priority)])
            return job

        return await queue._thread.run(move)

    async def forget(self, job_id: str) -> None:
        """Drop the record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        sql = self._queue._sql
        if not await self._queue._run(lambda link, now: link.count(sql.forget, {"id": job_id}), Mode.SINGLE):
            raise FailedJobNotFound(job_id)

    async def flush(self) -> int:
        """Drop every record that there is now and return how many there were.

        In several transactions, so that it holds nobody up; an error in one leaves what the others have done.
        """
        sql = self._queue._looking
        end = await self._queue._run(lambda link, now: newest(link, sql), Mode.READ)
        dropped = 0
        place: int | None = 0
        while place is not None:
            count, place = await self._queue._run(partial(flush, sql=sql, above=place, end=end), Mode.SINGLE)
            dropped += count
        return dropped

    # --- Many at once -------------------------------------------------------------------------------

    async def count(self, filter: FailedFilter | None = None, *, cap: int | None = None) -> int:
        """Return how many records there are, or how many of them a filter means; see `FailedJobs.count`.

        Raises:
            InvalidValue: `cap` is not a whole number from 1.
        """
        search = Search(self._queue._looking, filter)
        if cap is None:  # for as long as that takes, which is not for the connection of those who look
            return await self._queue._run(lambda link, now: search.count(link, None), Mode.READ)
        at_least_one(cap, "cap")
        return await self._queue._aside(lambda link: search.count(link, cap))

    async def queues(self) -> dict[str, int]:
        """Return the labels that have records, sorted, each with their number, which stops at 10,000."""
        sql = self._queue._looking
        return await self._queue._aside(lambda link: sql.looking.failed(link, sql))

    async def search(
        self, filter: FailedFilter | None = None, *, after: str | None = None, limit: int = PAGE_SIZE
    ) -> FailedPage:
        """Return some of the records that a filter means, newest first; see `FailedJobs.search`.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        row_limit(limit)
        (below,) = (None,) if after is None else read_cursor(after, tuple[int])
        search = Search(self._queue._looking, filter)
        return await self._queue._aside(lambda link: page(link, search, below, limit))

    async def groups(
        self, filter: FailedFilter | None = None, *, limit: int = PAGE_SIZE
    ) -> builtins.list[FailureGroup]:
        """Return the failures by kind and name, the largest group first; see `FailedJobs.groups`.

        Raises:
            InvalidValue: `limit` is none.
        """
        row_limit(limit)
        search = Search(self._queue._looking, filter)
        return await self._queue._aside(lambda link: search.groups(link, limit))

    async def retry_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Retry some of the records that a filter means, oldest first, in one transaction; see `FailedJobs.retry_many`.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        row_limit(limit)
        queue = self._queue
        batch = Batch(Search(queue._looking, filter), after, limit)

        def move(store: Store) -> BulkResult:
            while True:
                try:
                    result, moved = store.run(
                        lambda link: batch.retry(link, queue._looking, now=queue._now()), Mode.ATOMIC
                    )
                except IdTaken:
                    continue
                queue._operations.retried([(row[1], row[2]) for row in moved])
                return result

        return await queue._thread.run(move)

    async def forget_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Drop some of the records that a filter means, oldest first; see `FailedJobs.forget_many`.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        row_limit(limit)
        batch = Batch(Search(self._queue._looking, filter), after, limit)
        return await self._queue._run(lambda link, now: batch.forget(link, self._queue._looking), Mode.SINGLE)
