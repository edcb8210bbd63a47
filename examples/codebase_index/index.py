"""The application's own part: what is read from a file, and the table that it goes to."""

from __future__ import annotations

import ast
import tokenize
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

files = sa.Table(
    "files",
    sa.MetaData(),
    sa.Column("path", sa.String(700), primary_key=True),
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("functions", sa.Integer, nullable=False),
    sa.Column("classes", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
)


DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
"""The drivers that lagoqueue-sql has brought along; SQLAlchemy's own choice may be another one."""


class Index:
    """The table of indexed files, in the same database as the queue.

    Args:
        url: A SQLAlchemy URL.
        below: Count only what lies below this directory: a database may hold the indexes of several.
    """

    def __init__(self, url: sa.URL, below: str = "") -> None:
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        self._engine = sa.create_engine(url, connect_args={"timeout": 30} if url.get_backend_name() == "sqlite" else {})
        self._mine = files.c.path.startswith(below, autoescape=True)

    def setup(self) -> None:
        """Make the table unless it is there."""
        files.create(self._engine, checkfirst=True)

    def store(self, path: Path, attempts: int) -> None:
        """Read, parse and count one file, and store its row.

        Running it twice leaves one row, as a handler under at-least-once delivery should.

        Raises:
            SyntaxError, ValueError, UnicodeDecodeError, OSError: The file cannot be read or parsed.
        """
        with tokenize.open(path) as file:  # honours the file's own coding line
            source = file.read()
        kinds = Counter(type(node) for node in ast.walk(ast.parse(source, path)))
        row = {
            "path": str(path),
            "lines": source.count("\n"),
            "functions": kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef],
            "classes": kinds[ast.ClassDef],
            "attempts": attempts,
        }
        with self._engine.begin() as connection:
            connection.execute(files.delete().where(files.c.path == row["path"]))
            connection.execute(files.insert().values(row))

    def paths(self) -> set[str]:
        """Return the files that are indexed."""
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(files.c.path).where(self._mine)).scalars())

    def count(self) -> int:
        """Return how many files are indexed."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(files).where(self._mine)).scalar_one()

    def totals(self) -> Iterable[int]:
        """Return the number of rows, and the sums of attempts, lines, functions and classes."""
        columns = (files.c.attempts, files.c.lines, files.c.functions, files.c.classes)
        sums = [sa.func.coalesce(sa.func.sum(column), 0) for column in columns]
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(sa.func.count(), *sums).select_from(files).where(self._mine)).one()
        return map(int, row)

    def clear(self) -> None:
        """Forget what is indexed."""
        with self._engine.begin() as connection:
            connection.execute(files.delete().where(self._mine))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
