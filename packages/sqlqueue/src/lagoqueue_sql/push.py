"""Pushing: insert the jobs whose ids are not live."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from lagoqueue.errors import DuplicateJob
from lagoqueue.job import Job
from lagoqueue_sql.rows import duration, job_row, to_micros
from lagoqueue_sql.statements import Statements


def push(
    connection: Connection, sql: Statements, jobs: Sequence[Job], *, now: int, delay: float | None, exist_ok: bool
) -> int:
    """Insert the jobs in their order and return how many were new.

    Raises:
        DuplicateJob: An id is live or comes twice, and `exist_ok` was not given; the caller rolls back.
    """
    if not jobs:
        return 0
    rows = [job_row(job, _due(job, now, delay)) for job in jobs]
    stored = connection.execute(sql.push, rows[0] if len(rows) == 1 else rows).rowcount
    if stored != len(jobs) and not exist_ok:
        raise DuplicateJob(_first_duplicate(connection, sql, jobs, stored))
    return stored


def _due(job: Job, now: int, delay: float | None) -> int:
    if delay is not None:
        return now + duration(delay)
    return now if job.available_at is None else to_micros(job.available_at)


def _first_duplicate(connection: Connection, sql: Statements, jobs: Sequence[Job], stored: int) -> str:
    """Return the first id that was not inserted: one that was there before, or comes twice.

    `seq` only grows, so the rows that this push inserted are the `stored` highest of them.
    """
    live = {job.id: connection.execute(sql.stored, {"id": job.id}).scalar_one() for job in jobs}
    older = set(sorted(live, key=live.__getitem__)[: len(live) - stored])
    seen: set[str] = set()
    for job in jobs:
        if job.id in older or job.id in seen:
            return job.id
        seen.add(job.id)
    raise AssertionError("a push fell short, but every id is new")
