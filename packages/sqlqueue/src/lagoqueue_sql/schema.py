"""The tables, as SQLAlchemy knows them; `queue.metadata` shows them to Alembic and to users."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

from lagoqueue.errors import InvalidValue

SCHEMA_VERSION = 1
"""The version of the tables that this code makes and understands."""

VERSIONS_TABLE = "lagoqueue_schema"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,48}")


class Instant(sa.TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since the epoch where the store has no such type."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Schema:
    """The tables of one queue under the names that the user chose.

    Attributes:
        jobs: Every live job, waiting or reserved.
        failed_jobs: The jobs that were given up.
        versions: Which version of the tables stands under which name.
        names: The names in quotes, ready to stand in a statement.
    """

    def __init__(self, table: str, failed_table: str, dialect: sa.Dialect) -> None:
        _check_names(table, failed_table)
        self.metadata = sa.MetaData()
        self.jobs = _jobs(table, self.metadata)
        self.failed_jobs = _failed_jobs(failed_table, self.metadata)
        self.versions = _versions(self.metadata)
        quote = dialect.identifier_preparer.format_table
        self.names = {
            "jobs": quote(self.jobs),
            "failed_jobs": quote(self.failed_jobs),
            "versions": quote(self.versions),
        }


def _check_names(table: str, failed_table: str) -> None:
    taken: dict[str, str] = {VERSIONS_TABLE: "lagoqueue's own table"}
    for what, name in (("table", table), ("failed_table", failed_table)):
        if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name):
            raise InvalidValue(
                f"{what} must be a letter or underscore and then up to 48 letters, digits or underscores, not {name!r}"
            )
        if name.lower().startswith("sqlite_"):
            raise InvalidValue(f"{what} must not begin with 'sqlite_', which SQLite keeps for itself: {name!r}")
        if name.lower() in taken:
            raise InvalidValue(f"{what} {name!r} is the name of {taken[name.lower()]}; choose another")
        taken[name.lower()] = what


def _quoted(name: str) -> quoted_name:
    return quoted_name(name, quote=True)


def _jobs(name: str, metadata: sa.MetaData) -> sa.Table:
    table = sa.Table(
        _quoted(name),
        metadata,
        sa.Column("seq", sa.Integer, primary_key=True),  # push order; never used twice
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),  # a JSON object
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", Instant, nullable=False),
        sa.Column("reserved_at", Instant),
        sa.Column("reserved_until", Instant),
        sa.Column("receipt", sa.Text),
        sqlite_autoincrement=True,
    )
    waiting = table.c.reserved_at.is_(None)
    sa.Index(  # holds the whole order of a claim, so that a claim never sorts
        _quoted(f"ix_{name}_waiting"),
        table.c.queue,
        table.c.priority.desc(),
        table.c.available_at,
        table.c.seq,
        table.c.reserved_at,  # always NULL here, but SQLite would read the row to see that
        sqlite_where=waiting,
    )
    reserved = table.c.reserved_at.is_not(None)
    sa.Index(_quoted(f"ix_{name}_reserved"), table.c.reserved_until, sqlite_where=reserved)
    return table


def _failed_jobs(name: str, metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        _quoted(name),
        metadata,
        sa.Column("seq", sa.Integer, primary_key=True),  # the order of failing: newest first is seq downwards
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", Instant),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("traceback", sa.Text, nullable=False),
        sa.Column("failed_at", Instant, nullable=False),
        sqlite_autoincrement=True,
    )


def _versions(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        _quoted(VERSIONS_TABLE),
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
