"""Pushing: insert the jobs whose ids are not live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lagoqueue._time import to_seconds
from lagoqueue.errors import DuplicateJob
from lagoqueue.job import Job, check_job
from lagoqueue_sql.link import Link
from lagoqueue_sql.rows import duration, job_row, to_micros
from lagoqueue_sql.statements import Statements

if TYPE_CHECKING:
    from lagoqueue_sql.database import Database


def checked(jobs: Sequence[Job], delay: float | None) -> int | None:
    """Return the delay in microseconds; None for no delay, which leaves each job its own instant.

    Raises:
        InvalidJob: A job cannot be stored.
        InvalidValue: `delay` is no duration.
    """
    for job in jobs:
        check_job(job)
    return None if delay is None else duration(to_seconds(delay, "delay"))


def row_to_push(job: Job, delay: int | None, now: int = 0) -> dict[str, Any]:
    """Return the values to insert for a checked job."""
    if delay is None:
        return job_row(job, None if job.available_at is None else to_micros(job.available_at), now=now)
    return job_row(job, None, delay, now)


def push_many(
    database: Database, link: Link, sql: Statements, jobs: Sequence[Job], delay: int | None, now: int, *, exist_ok: bool
) -> int:
    """Insert jobs in their order and return how many were new.

    Raises:
        DuplicateJob: An id is live or comes twice, and `exist_ok` was not given; the caller rolls back.
    """
    stored = database.push_many(link, sql, jobs, delay, now, exist_ok=exist_ok)
    if stored != len(jobs) and not exist_ok:
        ids = [job.id for job in jobs]
        raise DuplicateJob(first_missing(ids, new_ids(link, sql, ids, stored)))
    return stored


def new_ids(link: Link, sql: Statements, ids: Sequence[str], stored: int) -> Sequence[str]:
    """Return which ids a push of this transaction inserted, when it inserted `stored` of them.

    `seq` only grows, so its rows are the `stored` highest.
    """
    found = [(rows[0][0], each) for each in set(ids) if (rows := link.rows(sql.stored, {"id": each}))]
    return [each for _, each in sorted(found)[max(0, len(found) - stored) :]]


def which_are_new(ids: Sequence[str], new: Sequence[str]) -> list[bool]:
    """Tell for each id whether it was inserted; of one that comes twice, that is the first."""
    left = Counter(new)
    answers: list[bool] = []
    for each in ids:
        answers.append(left[each] > 0)
        left[each] -= 1
    return answers


def first_missing(ids: Sequence[str], new: Sequence[str]) -> str:
    """Return the first of the ids that was not inserted."""
    return ids[which_are_new(ids, new).index(False)]


def first_in_the_way(link: Link, sql: Statements, ids: Sequence[str]) -> str:
    """Return why nothing was inserted: the first id that is live, or comes for the second time."""
    seen: set[str] = set()
    for each in ids:
        if each in seen or link.rows(sql.stored, {"id": each}):
            return each
        seen.add(each)
    return ids[0]  # the live job that was in the way has been settled meanwhile
