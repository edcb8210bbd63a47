"""The version of the tables: made once, by whichever process comes first, and checked by all."""

from __future__ import annotations

import sqlalchemy as sa

from lagoqueue.errors import DriverError, SchemaMissing, SchemaTooNew
from lagoqueue_sql.schema import SCHEMA_VERSION, Schema


def setup(connection: sa.Connection, schema: Schema) -> None:
    """Make the tables unless they are there; the caller's transaction makes it one step for all.

    Raises:
        SchemaTooNew: They were made by a newer version.
        DriverError: Another program's table stands under one of the names.
    """
    schema.versions.create(connection, checkfirst=True)
    for table in (schema.jobs, schema.failed_jobs):
        found = _version(connection, schema, table)
        if found is not None:
            _refuse_newer(found, table)
            continue
        if sa.inspect(connection).has_table(table.name):
            raise DriverError(
                f"there is a table {table.name!r} already, and no queue made it: "
                "choose other names with table= and failed_table="
            )
        table.create(connection)
        connection.execute(schema.versions.insert().values(name=table.name, version=SCHEMA_VERSION))


def check(connection: sa.Connection, schema: Schema) -> None:
    """Refuse tables that are missing or newer than this code; only reads.

    Raises:
        SchemaMissing: `setup` has not been run.
        SchemaTooNew: They were made by a newer version.
    """
    versioned = sa.inspect(connection).has_table(schema.versions.name)
    for table in (schema.jobs, schema.failed_jobs):
        found = _version(connection, schema, table) if versioned else None
        if found is None:
            raise SchemaMissing(f"the queue's table {table.name!r} has not been made yet: run `await queue.setup()`")
        _refuse_newer(found, table)


def _version(connection: sa.Connection, schema: Schema, table: sa.Table) -> int | None:
    versions = schema.versions
    return connection.execute(sa.select(versions.c.version).where(versions.c.name == table.name)).scalar()


def _refuse_newer(found: int, table: sa.Table) -> None:
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"table {table.name!r} has version {found}, made by a newer lagoqueue-sql; "
            f"this one knows up to {SCHEMA_VERSION}: upgrade lagoqueue-sql"
        )
