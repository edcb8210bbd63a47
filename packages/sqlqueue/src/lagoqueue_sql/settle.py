"""Settling: end reservations, each only while its receipt still holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, TextClause

from lagoqueue._time import to_seconds
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue_sql.failed import record
from lagoqueue_sql.rows import batch_json, duration
from lagoqueue_sql.statements import Statements

Key = tuple[str, str | None]

UNKNOWN = Failure("unknown", "unknown")


def settle(connection: Connection, sql: Statements, settlements: Sequence[Settlement], *, now: int) -> list[Job]:
    """End the reservations with one statement for each kind of ending; return the jobs that were lost.

    Of two settlements of one reservation the first counts, and the second finds it gone.
    """
    first: dict[Key, Settlement] = {}
    for settlement in settlements:
        first.setdefault(_key(settlement.job), settlement)
    acks = [s.job for s in first.values() if s.action == "ack"]
    back = [s for s in first.values() if s.action in ("nack", "release")]
    fails = {_key(s.job): s.failure or UNKNOWN for s in first.values() if s.action == "fail"}

    held: set[Key] = set()
    if acks:
        held |= _held(connection, sql.ack, [[job.id, job.receipt] for job in acks])
    if back:
        rows = [
            [s.job.id, s.job.receipt, duration(to_seconds(s.delay, "delay")), int(s.action == "release")] for s in back
        ]
        held |= _held(connection, sql.put_back, rows, now=now)
    if fails:
        held |= _bury(connection, sql, fails, now)
    return [s.job for s in settlements if first[_key(s.job)] is not s or _key(s.job) not in held]


def extend(connection: Connection, sql: Statements, jobs: Sequence[Job], *, until: int) -> list[Job]:
    """Let the reservations run until `until`; return the jobs that were lost."""
    if not jobs:
        return []
    held = _held(connection, sql.extend, [[job.id, job.receipt] for job in jobs], until=until)
    return [job for job in jobs if _key(job) not in held]


def _key(job: Job) -> Key:
    return job.id, job.receipt


def _held(connection: Connection, statement: TextClause, batch: Sequence[Sequence[Any]], **values: int) -> set[Key]:
    """Run a statement over a batch that starts with id and receipt; return those that were still held."""
    rows = connection.execute(statement, {"batch": batch_json(batch), **values})
    return {(job_id, receipt) for job_id, receipt in rows.all()}


def _bury(connection: Connection, sql: Statements, fails: dict[Key, Failure], now: int) -> set[Key]:
    """Move jobs to the failed jobs, as the store knows them."""
    rows = connection.execute(sql.bury, {"batch": batch_json(list(fails))}).mappings().all()
    record(connection, sql, [(dict(row), fails[row["id"], row["receipt"]]) for row in rows], now=now)
    return {(row["id"], row["receipt"]) for row in rows}
