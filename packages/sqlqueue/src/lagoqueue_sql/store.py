"""`Store`: one connection, opened when it is first needed, and functions run on it in a transaction each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from lagoqueue_sql.dialects.sqlite import SQLite
from lagoqueue_sql.schema import Schema
from lagoqueue_sql.versioning import check

T = TypeVar("T")


class Store:
    """A connection for one thread at a time. It is opened anew after an error that spoils it."""

    def __init__(self, database: SQLite, schema: Schema) -> None:
        self._database = database
        self._schema = schema
        self._connection: sa.Connection | None = None
        self._checked = False

    def run(self, function: Callable[[sa.Connection], T], *, write: bool, checked: bool = True) -> T:
        """Run `function` in one transaction and return its result once that is committed.

        Args:
            function: Gets the connection. It may run again when the file was locked, but never
                after a commit.
            write: Take the write lock first.
            checked: Refuse tables that are missing or too new; only `setup` does without.

        Raises:
            DriverError: The database's own error, translated; nothing was changed.
        """

        def attempt() -> T:
            connection = self._open(checked)
            return self._database.run(connection, function, write=write)

        try:
            return self._database.patiently(attempt)
        except (DBAPIError, sqlite3.Error) as error:
            if self._database.spoils(error):
                self.close()
            raise self._database.translate(error) from error

    def _open(self, checked: bool) -> sa.Connection:
        if self._connection is None:
            self._connection = self._database.connect()
            self._checked = False
        if checked and not self._checked:
            check(self._connection, self._schema)
            self._checked = True
        return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> sa.Connection | None:
        """Let go of a connection that a fork copied, without closing it: it is the parent's."""
        connection, self._connection = self._connection, None
        return connection
