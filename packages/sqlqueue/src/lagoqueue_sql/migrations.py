"""What changed from one version of the tables to the next, and how they get there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from lagoqueue.monitor.points import SHORT
from lagoqueue.monitor.tally import COUNTS, NAMES
from lagoqueue_sql.schema import COUNTERS_TABLE, Schema, key_storage


def migrate(connection: sa.Connection, table: sa.Table, found: int) -> None:
    """Bring a table from an older version to the present one.

    Args:
        connection: In the transaction of `setup`.
        table: As it is to be.
        found: The version that it has.
    """
    for version, step in _STEPS.items():
        if found < version:
            step(connection, table)


def _to_2(connection: sa.Connection, table: sa.Table) -> None:
    """Say who reserved a job, and find failed jobs by their label.

    Receipts changed too: what is reserved now goes back, to be delivered anew.
    """
    if "receipt" in table.c:
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN worker TEXT")
        connection.execute(
            table.update().where(table.c.reserved_at.is_not(None)).values(reserved_at=None, reserved_until=None)
        )
    if "traceback" in table.c:
        for index in table.indexes:
            index.create(connection)


def _to_4(connection: sa.Connection, table: sa.Table) -> None:
    """Make the id the primary key in PostgreSQL, in place of `seq` and beside no other index of its own."""
    if connection.dialect.name == "postgresql" and "receipt" in table.c:
        name = connection.dialect.identifier_preparer.format_table(table)
        for change in (
            f'DROP CONSTRAINT "{table.name}_pkey"',
            f'DROP CONSTRAINT "{table.name}_id_key"',
            f'ADD CONSTRAINT "{table.name}_pkey" PRIMARY KEY (id)',
        ):
            connection.exec_driver_sql(f"ALTER TABLE {name} {change}")
        connection.exec_driver_sql(key_storage(table.name))


_STEPS: dict[int, Callable[[sa.Connection, sa.Table], None]] = {2: _to_2, 4: _to_4}
"""By the version that a step leads to. Version 1 was SQLite's alone; version 3 changed only the counters."""


def move_counters(connection: sa.Connection, schema: Schema) -> None:
    """Move what version 2 counted to the tables that version 3 has for it.

    Rows that are there already stay: in MySQL, where DDL commits by itself, another process may have begun to
    count, or this may have been done before by one that died in the middle.
    """
    kept = ("jobs_table", "bucket", "queue", *COUNTS)
    old = sa.Table(COUNTERS_TABLE, sa.MetaData(), *(sa.Column(name, schema.history.c[name].type) for name in kept))
    column = old.c
    counts = {name: column[name] for name in COUNTS}
    nothing = {name: sa.literal(0) for name in NAMES if name not in COUNTS}
    total = {"jobs_table": column.jobs_table, "queue": column.queue, **counts}
    recent = {"span": sa.literal(SHORT), "bucket": column.bucket, **total, **nothing}
    _copy(connection, schema.totals, total, column.bucket == 0)
    _copy(connection, schema.history, recent, column.bucket > 0)
    old.drop(connection)


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    values: Mapping[str, sa.ColumnElement[Any]],
    which: sa.ColumnElement[bool],
) -> None:
    """Insert rows of another table, given by what they say of each column, except under keys that are taken."""
    taken = sa.exists().where(*(key == values[key.name] for key in table.primary_key))
    rows = sa.select(*values.values()).where(which, ~taken)
    connection.execute(table.insert().from_select(list(values), rows))
