"""`Link`: a DB-API connection as the operations see it: statements and values in, rows out.

The operations run on the driver's own connection, below SQLAlchemy's execution layer, which costs
a sixth of their speed on PostgreSQL and more on SQLite; docs/architecture.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Row = tuple[Any, ...]
Values = Mapping[str, Any]

Placeholders = Literal["named", "pyformat"]
"""How a driver writes the parameter x: `:x` or `%(x)s`."""

_PARAMETER = re.compile(r":(\w+)")


def spell(statement: str, placeholders: Placeholders) -> str:
    """Return a statement, written with `:x`, as a driver takes it. A statement holds no other colon."""
    if placeholders == "named":
        return statement
    return _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))


class Link:
    """Runs statements on a connection, one at a time, in whatever transaction that is in."""

    def __init__(self, connection: Any, **cursor: Any) -> None:
        self.connection = connection
        self._cursor = connection.cursor(**cursor)

    def rows(self, statement: str, values: Values) -> Sequence[Row]:
        """Run a statement and return its rows."""
        self._cursor.execute(statement, values)
        rows: Sequence[Row] = self._cursor.fetchall()
        return rows

    def count(self, statement: str, values: Values) -> int:
        """Run a statement and return how many rows it changed."""
        self._cursor.execute(statement, values)
        return int(self._cursor.rowcount)

    def many(self, statement: str, values: Iterable[Values]) -> int:
        """Run a statement once for each set of values and return how many rows they changed in all."""
        self._cursor.executemany(statement, values)
        return int(self._cursor.rowcount)

    def run(self, statement: str) -> None:
        """Run a statement without values, such as BEGIN."""
        self._cursor.execute(statement)
