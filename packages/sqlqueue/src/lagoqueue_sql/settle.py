"""Settling: end reservations, each only while its receipt still holds.

A receipt is the row's `seq` and a random token, new with every claim. Neither is used twice, so a
receipt proves one reservation and no other, and settling finds its rows by primary key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from lagoqueue._time import to_seconds
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.failed import record
from lagoqueue_sql.link import Link
from lagoqueue_sql.rows import as_json, duration
from lagoqueue_sql.statements import COLUMNS, Statements

Key = tuple[str, int, str]
"""A job's id, and the two parts of its receipt."""

UNKNOWN = Failure("unknown", "unknown")


def settle_mode(settlements: Sequence[Settlement]) -> Mode:
    """Return the transaction that `settle` needs for these."""
    kinds = {"back" if s.action in ("nack", "release") else s.action for s in settlements}
    return Mode.SINGLE if len(kinds) == 1 and "fail" not in kinds else Mode.ATOMIC


def settle(
    database: Database,
    link: Link,
    sql: Statements,
    settlements: Sequence[Settlement],
    *,
    now: int,
    unsure: Collection[Key] = (),
) -> list[Job]:
    """End the reservations with one statement for each kind of ending; return the jobs that were lost.

    Of two settlements of one reservation the first counts, and the second finds it gone.

    Args:
        database: Whose statements these are.
        link: Runs them.
        sql: The statements.
        settlements: What to do.
        now: The caller's time in microseconds, for stores without a clock.
        unsure: Those that were tried before, when the connection was lost before the answer came.
    """
    first: dict[Key, Settlement] = {}
    for settlement in settlements:
        first.setdefault(key_of(settlement.job), settlement)
    acks = [key for key, s in first.items() if s.action == "ack"]
    back = {key: s for key, s in first.items() if s.action in ("nack", "release")}
    fails = {key: s.failure or UNKNOWN for key, s in first.items() if s.action == "fail"}

    held: set[Key] = set()
    if acks:
        held |= _held(database, link, sql, sql.ack, [_item(key) for key in acks], now)
    if back:
        items = [
            _item(key, d=duration(to_seconds(s.delay, "delay")), b=int(s.action == "release"))
            for key, s in back.items()
        ]
        held |= _held(database, link, sql, sql.put_back, items, now)
    if fails:
        held |= _bury(database, link, sql, fails, now)
    for key in unsure:
        if key in first and key not in held and _was_done(link, sql, key, first[key]):
            held.add(key)
    return [s.job for s in settlements if first[key_of(s.job)] is not s or key_of(s.job) not in held]


def extend(
    database: Database, link: Link, sql: Statements, jobs: Sequence[Job], *, now: int, timeout: int
) -> list[Job]:
    """Let the reservations run for `timeout` microseconds from now; return the jobs that were lost."""
    if not jobs:
        return []
    keys = {key_of(job) for job in jobs}
    held = _held(database, link, sql, sql.extend, [_item(key) for key in keys], now, timeout=timeout)
    return [job for job in jobs if key_of(job) not in held]


def key_of(job: Job) -> Key:
    """Return what finds the row of a popped job; of any other, what finds none."""
    seq, _, token = (job.receipt or "").partition("-")
    return (job.id, int(seq), token) if seq.isdecimal() and len(seq) < 19 else (job.id, 0, "")


def _item(key: Key, **more: int) -> dict[str, Any]:
    return {"i": key[0], "s": key[1], "r": key[2], **more}


def _held(
    database: Database,
    link: Link,
    sql: Statements,
    statement: str,
    items: Sequence[dict[str, Any]],
    now: int,
    **values: int,
) -> set[Key]:
    rows = database.held(link, sql, statement, {"batch": as_json(items), "now": now, **values})
    return {(row[0], row[1], row[2]) for row in rows}


def _bury(database: Database, link: Link, sql: Statements, fails: dict[Key, Failure], now: int) -> set[Key]:
    """Move jobs to the failed jobs, as the store knows them."""
    batch = as_json([_item(key) for key in fails])
    rows = database.held(link, sql, sql.bury, {"batch": batch, "now": now})
    columns = COLUMNS.split(", ")
    record(
        link, sql, [(dict(zip(columns, row[3:], strict=True)), fails[row[0], row[1], row[2]]) for row in rows], now=now
    )
    return {(row[0], row[1], row[2]) for row in rows}


def _was_done(link: Link, sql: Statements, key: Key, settlement: Settlement) -> bool:
    """Tell whether the first try of a settlement went through, though its answer never came.

    Nobody else can have taken the job in the meantime unless the reservation expired in it, so a row
    that is gone was removed by that try, and one that lies there with our receipt was put back by it.
    """
    rows = link.rows(sql.outcome, {"seq": key[1]})
    if settlement.action in ("ack", "fail"):
        return not rows
    return bool(rows) and rows[0][0] == key[2] and rows[0][1] is None
