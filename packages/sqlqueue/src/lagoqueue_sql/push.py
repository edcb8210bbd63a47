"""Pushing: insert the jobs whose ids are not live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lagoqueue._time import to_seconds
from lagoqueue.errors import DuplicateJob
from lagoqueue.job import Job, check_job
from lagoqueue_sql.database import Database
from lagoqueue_sql.link import Link
from lagoqueue_sql.rows import duration, job_row, to_micros
from lagoqueue_sql.statements import Statements


def rows_to_push(jobs: Sequence[Job], delay: float | None, now: int = 0) -> list[dict[str, Any]]:
    """Return the values to insert for jobs that are checked here.

    Raises:
        InvalidJob: A job cannot be stored.
        InvalidValue: `delay` is no duration.
    """
    for job in jobs:
        check_job(job)
    if delay is not None:
        wait = duration(to_seconds(delay, "delay"))
        return [job_row(job, None, wait, now) for job in jobs]
    return [job_row(job, None if job.available_at is None else to_micros(job.available_at), now=now) for job in jobs]


def push(database: Database, link: Link, sql: Statements, rows: Sequence[dict[str, Any]], *, exist_ok: bool) -> int:
    """Insert the jobs in their order and return how many were new.

    Raises:
        DuplicateJob: An id is live or comes twice, and `exist_ok` was not given; the caller rolls back.
    """
    if not rows:
        return 0
    stored = database.push(link, sql, rows)
    if stored != len(rows) and not exist_ok:
        raise DuplicateJob(_first_duplicate(link, sql, [row["id"] for row in rows], stored))
    return stored


def _first_duplicate(link: Link, sql: Statements, ids: Sequence[str], stored: int) -> str:
    """Return the first id that was not inserted: one that was there before, or comes twice.

    `seq` only grows, so the rows that this push inserted are the `stored` highest of them.
    """
    if len(ids) == 1:
        return ids[0]
    live = {each: link.rows(sql.stored, {"id": each}) for each in ids}
    found = sorted((rows[0][0], each) for each, rows in live.items() if rows)
    older = {each for _, each in found[: max(0, len(found) - stored)]}
    seen: set[str] = set()
    for each in ids:
        if each in older or each in seen:
            return each
        seen.add(each)
    return ids[0]  # the live job that was in the way has been settled meanwhile
