"""Every statement that a queue runs, built once from the schema and the dialect. No I/O here.

A template is written with `:x` for the parameter x, with `{jobs}` and its like for the quoted
names that `Schema` has checked, and with `{now}` for the store's time in microseconds. Nothing else
from outside gets into the text.
"""

# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

from lagoqueue_sql.link import Placeholders, spell
from lagoqueue_sql.schema import Schema

COLUMNS = "id, name, payload, attempts, available_at, queue, priority, headers"
"""The columns that make a `Job`, in the order of its fields."""

FAILURE_COLUMNS = "kind, error, traceback, failed_at"

JOB_VALUES = ":id, :name, :payload, :attempts, COALESCE(:available_at, {now} + :delay), :queue, :priority, :headers"


class DialectStatements(Protocol):
    """The templates that databases spell differently; see `Statements` for what each is for.

    `:batch` is a JSON array of objects: of reservations with i (id), s (seq), r (receipt), d (delay
    in microseconds) and b (1 to give the attempt back); of labels with q.
    """

    now: str | None
    """The server's clock as an expression, or None where the caller's clock has to do."""

    push: str
    push_many: str
    push_each: str
    look: str
    claim: str
    turn: str
    reclaim: str
    ack: str
    put_back: str
    extend: str
    bury: str
    enrol: str
    release_orphans: str
    count_total: str
    count_history: str


@dataclass(frozen=True)
class Statements:
    """What each is for; instants are microseconds since the epoch, durations microseconds.

    Attributes:
        push: Insert a job unless its id is live.
        push_many: Insert jobs, or none of them when an id is live.
        push_each: Insert those of several jobs whose ids are not live.
        time: The store's time.
        stored: The `seq` of a live id.
        look: For each priority that waits under the labels in a batch: label, priority, the
            instant of its first job, and the store's time; and for each label a row without
            priority and instant.
        claim: Reserve due jobs and return them with their `seq` and when they were reserved, in no certain order.
        turn: On PostgreSQL, `ack` and `claim` in one; of the acks it returns nothing when as many as `:expected` held.
        reclaim: Let reservations go that expired since `:since`; return queue, priority and
            available_at of each.
        ack, put_back, extend, bury: End or extend the reservations in a batch; return id, seq and
            receipt of those that were still held, and for `bury` the columns that `record` takes.
        outcome: What stands under a `seq` and id now: receipt and reserved_at.
        give_back: Release what was reserved under one receipt, however many jobs that are.
        size: How many wait under a label.
        forget, record, failed_page, failed_one: The failed-jobs store's; see also `failed_search`.
        enrol, beat, silent, strike, release_orphans, leave: The workers table's: enter a worker, say that
            it lives, find silent ones, remove one that is still silent, release what it had reserved, sign off.
        count_total, count_history, forget_history: Add to the totals of a label, and to its present bucket; drop old ones.
        versions: The versions of the tables.
    """

    push: str
    push_many: str
    push_each: str
    time: str
    stored: str
    look: str
    claim: str
    turn: str
    reclaim: str
    ack: str
    put_back: str
    extend: str
    bury: str
    outcome: str
    give_back: str
    size: str
    forget: str
    record: str
    failed_page: str
    failed_one: str
    enrol: str
    beat: str
    silent: str
    strike: str
    release_orphans: str
    leave: str
    count_total: str
    count_history: str
    forget_history: str
    versions: str


_SHARED = {
    "time": "SELECT {now}",
    "stored": "SELECT seq FROM {jobs} WHERE id = :id",
    "outcome": "SELECT receipt, reserved_at FROM {jobs} WHERE seq = :seq AND id = :id",
    "give_back": (
        "UPDATE {jobs} SET attempts = attempts - 1, reserved_at = NULL, reserved_until = NULL"
        " WHERE reserved_at IS NOT NULL AND reserved_until > 0 AND receipt = :receipt"
    ),
    "size": "SELECT count(*) FROM {jobs} WHERE queue = :queue AND reserved_at IS NULL",
    "forget": "DELETE FROM {failed_jobs} WHERE id = :id",
    "record": (
        f"INSERT INTO {{failed_jobs}} ({COLUMNS}, {FAILURE_COLUMNS}) VALUES"
        " (:id, :name, :payload, :attempts, :available_at, :queue, :priority, :headers,"
        " :kind, :error, :traceback, {now})"
    ),
    "failed_page": (
        f"SELECT {COLUMNS}, {FAILURE_COLUMNS} FROM {{failed_jobs}} WHERE seq <= :first ORDER BY seq DESC LIMIT :limit"
    ),
    "failed_one": f"SELECT {COLUMNS}, {FAILURE_COLUMNS} FROM {{failed_jobs}} WHERE id = :id",
    "beat": "UPDATE {workers} SET beaten_at = {now} WHERE id = :id",
    # Or will only beat in the future, by a clock that was set back.
    "silent": (
        "SELECT id, beaten_at FROM {workers} WHERE jobs_table = :jobs_table"
        " AND beaten_at NOT BETWEEN {now} - :silence AND {now} + :silence ORDER BY id"
    ),
    "strike": "DELETE FROM {workers} WHERE id = :id AND beaten_at = :beaten_at",
    "leave": "DELETE FROM {workers} WHERE id = :id",
    "forget_history": (
        "DELETE FROM {history} WHERE jobs_table = :jobs_table AND span = :span AND bucket < {now} / 1000000 - :age"
    ),
    "versions": "SELECT name, version FROM {versions}",
}


def clock(dialect: DialectStatements, server_clock: bool) -> str:
    """Return the expression of the store's time."""
    return dialect.now if server_clock and dialect.now is not None else ":now"


def build(
    schema: Schema, dialect: DialectStatements, placeholders: Placeholders, *, server_clock: bool = True
) -> Statements:
    """Return the statements for these tables on this kind of database.

    Args:
        schema: The tables.
        dialect: The templates of the database.
        placeholders: How the driver writes a parameter.
        server_clock: Take the time from the server where it has a clock; else from `:now`.
    """
    now = clock(dialect, server_clock)

    def statement(name: str) -> str:
        template = _SHARED[name] if name in _SHARED else getattr(dialect, name)
        return spell(template.format(now=now, **schema.names), placeholders)

    return Statements(**{field.name: statement(field.name) for field in fields(Statements)})
