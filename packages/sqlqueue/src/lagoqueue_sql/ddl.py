"""The statements that make the tables, as text, for those who change their schema by script."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from lagoqueue_sql.schema import SCHEMA_VERSION, Schema


def script(schema: Schema, dialect: sa.Dialect) -> str:
    """Return the DDL that `setup` would run on an empty database, each statement ended by a semicolon."""
    lines: list[str] = []

    def keep(statement: Any, *_: object, **__: object) -> None:
        text = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        lines.append("\n".join(line.rstrip() for line in text.strip().expandtabs(4).splitlines()) + ";")

    engine = sa.create_mock_engine(f"{dialect.name}+{dialect.driver}://", keep)
    schema.metadata.create_all(engine, tables=[schema.versions, *schema.own], checkfirst=False)
    for table in schema.own:
        keep(schema.versions.insert().values(name=table.name, version=SCHEMA_VERSION))
    return "\n".join(lines) + "\n"
