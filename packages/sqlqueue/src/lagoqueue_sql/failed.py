"""The failed-jobs store in the same database, so that a job leaves one table for the other in one transaction."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidValue
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK, Failure, storable
from lagoqueue.job import Job, check_job
from lagoqueue.monitor.failed import FailedJob
from lagoqueue.monitor.views import PAGE_SIZE
from lagoqueue_sql.rows import from_micros, job_row, row_job, to_micros
from lagoqueue_sql.statements import COLUMNS, Statements

if TYPE_CHECKING:
    from lagoqueue_sql.queue import SQLQueue

_WIDTH = len(COLUMNS.split(","))


def record(
    connection: Connection, sql: Statements, rows: Sequence[tuple[dict[str, Any], Failure]], *, now: int
) -> None:
    """Keep failed jobs, given as the columns of their jobs; an older record under an id makes room."""
    if not rows:
        return
    connection.execute(sql.forget, [{"id": row["id"]} for row, _ in rows])
    connection.execute(
        sql.record,
        [
            {
                **row,
                "kind": storable(failure.kind, MAX_ERROR),
                "error": storable(failure.error, MAX_ERROR),
                "traceback": storable(failure.traceback, MAX_TRACEBACK),
                "failed_at": now,
            }
            for row, failure in rows
        ],
    )


def retry(connection: Connection, sql: Statements, job_id: str, *, now: int) -> Job:
    """Move a failed job back, due now and with no attempts spent; return it as pushed."""
    failed = _get(connection, sql, job_id).job
    job = Job(
        failed.id, failed.name, failed.payload, 0, from_micros(now), failed.queue, failed.priority, failed.headers
    )
    if connection.execute(sql.push, job_row(job, now)).rowcount == 0:
        raise DuplicateJob(job_id)
    connection.execute(sql.forget, {"id": job_id})
    return job


def _get(connection: Connection, sql: Statements, job_id: str) -> FailedJob:
    row = connection.execute(sql.failed_one, {"id": job_id}).one_or_none()
    if row is None:
        raise FailedJobNotFound(job_id)
    return _failed_job(row)


def _failed_job(row: Row[Any]) -> FailedJob:
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
        await self._queue._write(lambda connection, sql, now: record(connection, sql, [(row, failure)], now=now))

    async def list(self, page: int = 1) -> builtins.list[FailedJob]:
        """Return one page of 50, newest first; an empty list past the end.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        if type(page) is not int or not 1 <= page <= 2**53:
            raise InvalidValue(f"page must be a whole number from 1, not {page!r}")
        values = {"limit": PAGE_SIZE, "offset": (page - 1) * PAGE_SIZE}
        rows = await self._queue._read(lambda connection, sql: connection.execute(sql.failed_page, values).all())
        return [_failed_job(row) for row in rows]

    async def get(self, job_id: str) -> FailedJob:
        """Return one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        return await self._queue._read(lambda connection, sql: _get(connection, sql, job_id))

    async def retry(self, job_id: str) -> Job:
        """Put the job back in its queue, due now with no attempts spent, and drop the record: one transaction.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
        """
        job = await self._queue._write(lambda connection, sql, now: retry(connection, sql, job_id, now=now))
        self._queue._bell.ring()
        return job

    async def forget(self, job_id: str) -> None:
        """Drop the record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        dropped = await self._queue._write(
            lambda connection, sql, now: connection.execute(sql.forget, {"id": job_id}).rowcount
        )
        if not dropped:
            raise FailedJobNotFound(job_id)

    async def flush(self) -> int:
        """Drop every record and return how many there were."""
        return await self._queue._write(lambda connection, sql, now: connection.execute(sql.flush).rowcount)

    async def count(self) -> int:
        """Return how many records there are."""
        return await self._queue._read(lambda connection, sql: connection.execute(sql.failed_count).scalar_one())
