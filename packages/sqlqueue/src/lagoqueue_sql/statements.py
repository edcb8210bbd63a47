"""Every statement that a queue runs, built once from the schema and the dialect. No I/O here.

The text holds quoted names that `Schema` has checked, and nothing else from outside.
"""

# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import TextClause, text

from lagoqueue_sql.schema import Schema

COLUMNS = "id, name, payload, attempts, available_at, queue, priority, headers"
"""The columns that make a `Job`, in the order of its fields."""


class DialectStatements(Protocol):
    """The statements that databases spell differently.

    `{jobs}` stands for the quoted name of the table. What works on a batch of reservations takes it
    as one parameter, `:batch`: a JSON array of arrays that begin with id and receipt.
    """

    push: str
    due_level: str
    earliest: str
    claim: str
    ack: str
    put_back: str
    extend: str
    bury: str


@dataclass(frozen=True)
class Statements:
    """What each is for; instants are numbers in the store's own unit.

    Attributes:
        push: Insert a job unless its id is live.
        stored: The `seq` of a live id.
        head: Priority and instant of the job that comes first below a priority, due or not.
        due_level: The highest priority below `:below` that has a due job under a label.
        earliest: When the first job under a label comes due.
        claim: Reserve up to `:limit` due jobs of one label and priority, and return them.
        next_expiry: When the first reservation expires.
        reclaim: Let the expired reservations go.
        ack, put_back, extend, bury: End or extend the reservations in a batch; return id and receipt
            of those that were still held, and for `bury` the columns that `record` takes.
        size: How many wait under a label.
        forget: Drop a failed job.
        record: Keep a failed job.
        failed_page, failed_one, flush, failed_count: As in `FailedJobs`.
    """

    push: TextClause
    stored: TextClause
    head: TextClause
    due_level: TextClause
    earliest: TextClause
    claim: TextClause
    next_expiry: TextClause
    reclaim: TextClause
    ack: TextClause
    put_back: TextClause
    extend: TextClause
    bury: TextClause
    size: TextClause
    forget: TextClause
    record: TextClause
    failed_page: TextClause
    failed_one: TextClause
    flush: TextClause
    failed_count: TextClause


def build(schema: Schema, dialect: DialectStatements) -> Statements:
    """Return the statements for these tables on this kind of database."""

    def statement(template: str) -> TextClause:
        return text(template.format(**schema.names))

    return Statements(
        push=statement(dialect.push),
        stored=statement("SELECT seq FROM {jobs} WHERE id = :id"),
        head=statement(
            "SELECT priority, available_at FROM {jobs}"
            " WHERE queue = :queue AND reserved_at IS NULL AND priority < :below"
            " ORDER BY priority DESC, available_at, seq LIMIT 1"
        ),
        due_level=statement(dialect.due_level),
        earliest=statement(dialect.earliest),
        claim=statement(dialect.claim),
        next_expiry=statement("SELECT min(reserved_until) FROM {jobs} WHERE reserved_at IS NOT NULL"),
        reclaim=statement(
            "UPDATE {jobs} SET reserved_at = NULL, reserved_until = NULL, receipt = NULL"
            " WHERE reserved_at IS NOT NULL AND reserved_until <= :now"
        ),
        ack=statement(dialect.ack),
        put_back=statement(dialect.put_back),
        extend=statement(dialect.extend),
        bury=statement(dialect.bury),
        size=statement("SELECT count(*) FROM {jobs} WHERE queue = :queue AND reserved_at IS NULL"),
        forget=statement("DELETE FROM {failed_jobs} WHERE id = :id"),
        record=statement(
            "INSERT INTO {failed_jobs}"
            f" ({COLUMNS}, kind, error, traceback, failed_at) VALUES"
            " (:id, :name, :payload, :attempts, :available_at, :queue, :priority, :headers,"
            " :kind, :error, :traceback, :failed_at)"
        ),
        failed_page=statement(
            f"SELECT {COLUMNS}, kind, error, traceback, failed_at FROM {{failed_jobs}}"
            " ORDER BY seq DESC LIMIT :limit OFFSET :offset"
        ),
        failed_one=statement(
            f"SELECT {COLUMNS}, kind, error, traceback, failed_at FROM {{failed_jobs}} WHERE id = :id"
        ),
        flush=statement("DELETE FROM {failed_jobs}"),
        failed_count=statement("SELECT count(*) FROM {failed_jobs}"),
    )
