"""The failed-jobs store in the same database, so that a job leaves one table for the other in one transaction."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidValue
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK, Failure, storable
from lagoqueue.job import Job, check_job
from lagoqueue.monitor.failed import FailedJob
from lagoqueue.monitor.views import PAGE_SIZE
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import from_micros, job_row, row_job, to_micros
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
    """The failed jobs of a `SQLQueue`; `queue.failed_jobs` is one. See `lagoqueue.monitor.FailedJobs`."""

    def __init__(self, queue: SQLQueue) -> None:
        self._queue = queue

    async def record(self, job: Job, queue: str, error: Failure | BaseException) -> None:
        """Keep a failed job. One that is recorded again under its id replaces the older record."""
        check_job(job)
        failure = Failure.of(error) if isinstance(error, BaseException) else error
        row = job_row(job, None if job.available_at is None else to_micros(job.available_at))
        row["queue"] = queue
        await self._queue._run(lambda link, now: record(link, self._queue._sql, [(row, failure)], now=now))

    async def list(self, page: int = 1) -> builtins.list[FailedJob]:
        """Return one page of 50, newest first; an empty list past the end.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        if type(page) is not int or not 1 <= page <= 2**53:
            raise InvalidValue(f"page must be a whole number from 1, not {page!r}")
        values = {"limit": PAGE_SIZE, "offset": (page - 1) * PAGE_SIZE}
        rows = await self._queue._run(lambda link, now: link.rows(self._queue._sql.failed_page, values), Mode.READ)
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
            queue._arrived([(job.queue, job.priority, None)])
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
        """Drop every record and return how many there were."""
        return await self._queue._run(lambda link, now: link.count(self._queue._sql.flush, {}), Mode.SINGLE)

    async def count(self) -> int:
        """Return how many records there are."""
        rows = await self._queue._run(lambda link, now: link.rows(self._queue._sql.failed_count, {}), Mode.READ)
        return int(rows[0][0])
