"""The tables, as SQLAlchemy knows them; `queue.metadata` shows them to Alembic and to users.

Instants are whole microseconds since the epoch in every database: exact, free of time zones, and
the quickest to read. `to_timestamp(available_at / 1e6)` shows one in PostgreSQL.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql.elements import quoted_name

from lagoqueue.errors import InvalidValue
from lagoqueue.job import MAX_ID, MAX_LABEL, MAX_NAME
from lagoqueue.monitor.tally import COUNTS, NAMES

SCHEMA_VERSION = 4
"""The version of the tables that this code makes and understands."""

VERSIONS_TABLE = "lagoqueue_schema"
WORKERS_TABLE = "lagoqueue_workers"
TOTALS_TABLE = "lagoqueue_totals"
HISTORY_TABLE = "lagoqueue_history"
COUNTERS_TABLE = "lagoqueue_counters"
"""Version 2 had this in place of the two before it."""

RECEIPT = 32
"""Characters of a receipt's random part."""

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,48}")

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
_BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

_STORAGE = (
    "ALTER TABLE {} SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,"
    " autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.1,"
    " autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0)"
)
"""A queue's table turns over many times a day, so waiting for a fifth of it to be dead is far too late."""


class _InBytes(sa.types.TypeDecorator[str]):
    """Text in a column of bytes, on MySQL and MariaDB."""

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | str | None, dialect: sa.Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


def _short(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte, trailing spaces and all, whatever the database's collation."""
    in_bytes = _InBytes(4 * length)
    return (
        sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql").with_variant(in_bytes, "mysql", "mariadb")
    )


class Schema:
    """The tables of one queue under the names that the user chose.

    Attributes:
        jobs: Every live job, waiting or reserved.
        failed_jobs: The jobs that were given up.
        workers: The workers that live, shared by all queues of a database.
        totals: What was done under each label since the tables were made, shared by all queues of a database.
        history: The same by stretches of time, with how long jobs ran and waited.
        versions: Which version of the tables stands under which name.
        names: The names in quotes, of indexes too, ready to stand in a statement.
    """

    def __init__(self, table: str, failed_table: str, dialect: sa.Dialect) -> None:
        _check_names(table, failed_table)
        self.metadata = sa.MetaData()
        self.jobs = _jobs(table, self.metadata, dialect.name)
        self.failed_jobs = _failed_jobs(failed_table, self.metadata)
        self.workers = _workers(self.metadata)
        self.totals = _totals(self.metadata)
        self.history = _history(self.metadata)
        self.versions = _versions(self.metadata)
        quote = dialect.identifier_preparer.format_table
        self.names = {
            "jobs": quote(self.jobs),
            "failed_jobs": quote(self.failed_jobs),
            "workers": quote(self.workers),
            "totals": quote(self.totals),
            "history": quote(self.history),
            "versions": quote(self.versions),
            "waiting": dialect.identifier_preparer.quote(_waiting(table)),
            "reserved": dialect.identifier_preparer.quote(_reserved(table)),
            "failed_queue": dialect.identifier_preparer.quote(_failed_queue(failed_table)),
        }

    @property
    def own(self) -> tuple[sa.Table, ...]:
        """The tables that have a version, without the table of versions itself."""
        return self.jobs, self.failed_jobs, self.workers, self.totals, self.history


def _check_names(table: str, failed_table: str) -> None:
    taken: dict[str, str] = dict.fromkeys(
        (VERSIONS_TABLE, WORKERS_TABLE, TOTALS_TABLE, HISTORY_TABLE, COUNTERS_TABLE), "one of lagoqueue's own tables"
    )
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


def _waiting(table: str) -> quoted_name:
    return _quoted(f"ix_{table}_waiting")


def _reserved(table: str) -> quoted_name:
    return _quoted(f"ix_{table}_reserved")


def _failed_queue(table: str) -> quoted_name:
    return _quoted(f"ix_{table}_queue")


def _table(name: str, metadata: sa.MetaData, *columns: sa.schema.SchemaItem) -> sa.Table:
    # Plain InnoDB and utf8mb4 whatever the server's defaults; ROW_FORMAT for keys of up to 3072 bytes.
    options: dict[str, Any] = {
        "mysql_engine": "InnoDB",
        "mysql_default_charset": "utf8mb4",
        "mysql_row_format": "DYNAMIC",
    }
    options |= {key.replace("mysql", "mariadb"): value for key, value in options.items()}
    table: sa.Table = sa.Table(_quoted(name), metadata, *columns, sqlite_autoincrement=True, **options)
    return table


def _jobs(name: str, metadata: sa.MetaData, dialect: str) -> sa.Table:
    # In PostgreSQL a claim writes an entry in each index, so none is there for `seq` alone.
    by_id = dialect == "postgresql"
    table = _table(
        name,
        metadata,
        # Push order; never used twice.
        sa.Column("seq", _SEQ, sa.Identity(always=True), primary_key=not by_id, nullable=False),
        sa.Column("id", _short(MAX_ID), primary_key=by_id, nullable=False, unique=not by_id),
        sa.Column("queue", _short(MAX_LABEL), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("name", _short(MAX_NAME), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", sa.BigInteger, nullable=False),
        sa.Column("reserved_at", sa.BigInteger),
        sa.Column("reserved_until", sa.BigInteger),
        sa.Column("receipt", _short(RECEIPT)),  # of the last reservation
        sa.Column("worker", _short(RECEIPT)),  # who made that, if a worker did
        # What may be long comes last: SQLite reads a row from its beginning to the column that is wanted.
        sa.Column("headers", _TEXT, nullable=False),  # a JSON object
        sa.Column("payload", _BYTES, nullable=False),
    )
    _jobs_indexes(table, dialect)
    for storage in (_STORAGE.format("%(fullname)s"), key_storage(name)):
        ddl = sa.DDL(storage).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", ddl)
    return table


def key_storage(table: str) -> str:
    """Return what leaves room in the pages of PostgreSQL's primary key: in full ones, each claim searches for dead entries."""
    return f'ALTER INDEX "{table}_pkey" SET (fillfactor = 60)'


def _jobs_indexes(table: sa.Table, dialect: str) -> None:
    """Add the index of the waiting jobs, which holds a claim's whole order, and that of the reserved."""
    column = table.c
    waiting, reserved = _waiting(table.name), _reserved(table.name)
    order = [column.queue, column.priority.desc(), column.available_at, column.seq]
    if dialect == "sqlite":
        # The last column is always NULL here, but SQLite would read the row to see that.
        sa.Index(waiting, *order, column.reserved_at, sqlite_where=column.reserved_at.is_(None))
        sa.Index(reserved, column.reserved_until, sqlite_where=column.reserved_at.is_not(None))
    elif dialect == "postgresql":
        sa.Index(waiting, *order, postgresql_where=column.reserved_at.is_(None))
        sa.Index(reserved, column.reserved_until, postgresql_where=column.reserved_at.is_not(None))
    else:  # without partial indexes NULL has to be a part of the key, and the primary key ends every other one
        sa.Index(waiting, column.queue, column.reserved_at, column.priority, column.available_at)
        sa.Index(reserved, column.reserved_until)


def _failed_jobs(name: str, metadata: sa.MetaData) -> sa.Table:
    table = _table(
        name,
        metadata,
        sa.Column("seq", _SEQ, sa.Identity(always=True), primary_key=True),  # newest first is seq downwards
        sa.Column("id", _short(MAX_ID), nullable=False, unique=True),
        sa.Column("queue", _short(MAX_LABEL), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("name", _short(MAX_NAME), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", sa.BigInteger),
        sa.Column("failed_at", sa.BigInteger, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("error", _TEXT, nullable=False),
        sa.Column("headers", _TEXT, nullable=False),
        sa.Column("payload", _BYTES, nullable=False),
        sa.Column("traceback", _TEXT, nullable=False),
    )
    sa.Index(_failed_queue(name), table.c.queue, table.c.seq)
    return table


def _workers(metadata: sa.MetaData) -> sa.Table:
    return _table(
        WORKERS_TABLE,
        metadata,
        sa.Column("id", _short(RECEIPT), primary_key=True),
        sa.Column("jobs_table", _short(49), nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("queues", _TEXT, nullable=False),  # a JSON array
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("beaten_at", sa.BigInteger, nullable=False),
    )


def _totals(metadata: sa.MetaData) -> sa.Table:
    return _table(
        TOTALS_TABLE,
        metadata,
        sa.Column("jobs_table", _short(49), primary_key=True),
        sa.Column("queue", _short(MAX_LABEL), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
        sa.Column("processed_at", sa.BigInteger),  # when the last of them was
    )


def _history(metadata: sa.MetaData) -> sa.Table:
    return _table(
        HISTORY_TABLE,
        metadata,
        sa.Column("jobs_table", _short(49), primary_key=True),
        sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),  # seconds that a bucket covers
        # The second of the epoch at which it begins. It holds no more than an Integer can count.
        sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("queue", _short(MAX_LABEL), primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in NAMES),
    )


def _versions(metadata: sa.MetaData) -> sa.Table:
    return _table(
        VERSIONS_TABLE,
        metadata,
        sa.Column("name", _short(49), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
