"""What changed from one version of the tables to the next, and how a table gets there."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa


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


_STEPS: dict[int, Callable[[sa.Connection, sa.Table], None]] = {2: _to_2}
"""By the version that a step leads to. Version 1 was SQLite's alone."""
