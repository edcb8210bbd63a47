"""Claiming: reserve due jobs, let expired reservations go, and know when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection

from lagoqueue.job import MAX_PRIORITY, Job
from lagoqueue_sql.rows import row_job
from lagoqueue_sql.statements import Statements

AVAILABLE_AT, SEQ = 4, 8
"""Where `claim` returns them: among the columns of a job, and behind those."""

SWEEP_EVERY = 1_000_000
"""Microseconds between two looks for expired reservations while there is other work."""


class Claim(NamedTuple):
    """What a claim found; without jobs, `look_again` is the next instant at which there may be one."""

    jobs: list[Job]
    look_again: int | None = None


class Sweep:
    """Remembers when expired reservations are due to be looked for; one for each queue object.

    Looking is a statement of its own, so it is not done at every claim: only when the first known
    reservation expires, once a second for those that others made since, and when nothing is due.
    """

    def __init__(self, visibility_timeout: int) -> None:
        self._visibility_timeout = visibility_timeout
        self._last = 0
        self._next = 0

    def is_due(self, now: int) -> bool:
        return now >= self._next or now < self._last  # the second: the clock was set back

    def run(self, connection: Connection, sql: Statements, now: int) -> int:
        """Let the expired reservations go and return how many there were."""
        expired = connection.execute(sql.reclaim, {"now": now}).rowcount
        first = connection.execute(sql.next_expiry).scalar()
        self._last = now
        self._next = now + min(SWEEP_EVERY, self._visibility_timeout)
        if first is not None:
            self._next = min(self._next, first)
        return expired


def claim(
    connection: Connection,
    sql: Statements,
    labels: Sequence[str],
    limit: int,
    *,
    now: int,
    until: int,
    receipt: str,
    sweep: Sweep,
) -> Claim:
    """Reserve up to `limit` due jobs under `receipt` until `until`, in the contract's order."""
    swept = sweep.is_due(now)
    if swept:
        sweep.run(connection, sql, now)
    jobs = _reserve(connection, sql, labels, limit, now, until, receipt)
    if not jobs and not swept and sweep.run(connection, sql, now):
        jobs = _reserve(connection, sql, labels, limit, now, until, receipt)
    return Claim(jobs) if jobs else Claim([], earliest(connection, sql, labels))


def earliest(connection: Connection, sql: Statements, labels: Sequence[str]) -> int | None:
    """Return the first instant at which a claim could find a job; None while nothing is there. Only reads."""
    instants = [connection.execute(sql.earliest, {"queue": label}).scalar() for label in labels]
    instants.append(connection.execute(sql.next_expiry).scalar())
    return min((instant for instant in instants if instant is not None), default=None)


def _reserve(
    connection: Connection, sql: Statements, labels: Sequence[str], limit: int, now: int, until: int, receipt: str
) -> list[Job]:
    """Go through the labels, and in each through the priorities that have a due job.

    One priority at a time: within it the due jobs are one range of the index, so the jobs that are
    delayed, however many, are never read.
    """
    jobs: list[Job] = []
    for label in labels:
        below = MAX_PRIORITY + 1
        while len(jobs) < limit:
            level = _due_level(connection, sql, label, below, now)
            if level is None:
                break
            values = {"queue": label, "level": level, "now": now, "until": until, "receipt": receipt}
            rows = connection.execute(sql.claim, {**values, "limit": limit - len(jobs)}).all()
            jobs += [row_job(row, receipt) for row in sorted(rows, key=itemgetter(AVAILABLE_AT, SEQ))]
            below = level
    return jobs


def _due_level(connection: Connection, sql: Statements, label: str, below: int, now: int) -> int | None:
    """Return the highest priority below `below` that has a due job."""
    head = connection.execute(sql.head, {"queue": label, "below": below}).one_or_none()
    if head is None:
        return None
    if head.available_at <= now:
        return int(head.priority)  # nearly always; the statement below costs several times as much
    return connection.execute(sql.due_level, {"queue": label, "below": head.priority, "now": now}).scalar()
