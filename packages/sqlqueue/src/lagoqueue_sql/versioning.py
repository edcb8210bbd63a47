"""The version of the tables: made or migrated by whichever process comes first, and checked by all."""

from __future__ import annotations

import sqlalchemy as sa

from lagoqueue.errors import DriverError, SchemaMissing, SchemaTooNew
from lagoqueue_sql.link import Link
from lagoqueue_sql.migrations import migrate, move_counters
from lagoqueue_sql.schema import COUNTERS_TABLE, SCHEMA_VERSION, Schema
from lagoqueue_sql.statements import Statements


def setup(connection: sa.Connection, schema: Schema) -> None:
    """Make the tables unless they are there, and bring older ones up to date.

    The caller sees to it that one process at a time does this.

    Raises:
        SchemaTooNew: They were made by a newer version.
        DriverError: Another program's table stands under one of the names.
    """
    versions = schema.versions
    versions.create(connection, checkfirst=True)
    rows = connection.execute(sa.select(versions.c.name, versions.c.version))
    found: dict[str, int] = {row.name: row.version for row in rows}
    for table in schema.own:
        _refuse_newer(table.name, found.get(table.name, 0))
    for table in schema.own:
        version = found.get(table.name)
        exists = sa.inspect(connection).has_table(table.name)
        if exists and version is None:
            raise DriverError(
                f"there is a table {table.name!r} already, and no queue made it: "
                "choose other names with table= and failed_table="
            )
        if version is None:  # noted first: where DDL commits by itself, a process may die between the two
            connection.execute(versions.insert().values(name=table.name, version=SCHEMA_VERSION))
        if not exists:
            table.create(connection)
        elif version is not None and version < SCHEMA_VERSION:
            migrate(connection, table, version)
        if version != SCHEMA_VERSION:
            connection.execute(versions.update().where(versions.c.name == table.name).values(version=SCHEMA_VERSION))
    if COUNTERS_TABLE in found:
        if sa.inspect(connection).has_table(COUNTERS_TABLE):
            move_counters(connection, schema)
        connection.execute(versions.delete().where(versions.c.name == COUNTERS_TABLE))


def check(link: Link, sql: Statements, schema: Schema) -> None:
    """Refuse tables that are missing, older or newer than this code; only reads.

    Raises:
        SchemaMissing: `setup` has not been run, or not since an upgrade.
        SchemaTooNew: They were made by a newer version.
    """
    found: dict[str, int] = {str(name): version for name, version in link.rows(sql.versions, {})}
    for table in schema.own:
        version = found.get(table.name)
        if version is None:
            raise SchemaMissing(f"the queue's table {table.name!r} has not been made yet: run `await queue.setup()`")
        _refuse_newer(table.name, version)
        if version < SCHEMA_VERSION:
            raise SchemaMissing(
                f"table {table.name!r} has version {version} and this lagoqueue-sql needs {SCHEMA_VERSION}: "
                "run `await queue.setup()`, which brings it up to date"
            )


def _refuse_newer(name: str, found: int) -> None:
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"table {name!r} has version {found}, made by a newer lagoqueue-sql; "
            f"this one knows up to {SCHEMA_VERSION}: upgrade lagoqueue-sql"
        )
