"""SQLite: how a file is opened, how a transaction is made there, and what its errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from lagoqueue.errors import DriverError, InvalidValue, SchemaMissing

T = TypeVar("T")

NEEDED = (3, 35, 0)
"""The first SQLite with RETURNING."""

Synchronous = Literal["full", "normal"]

_BUSY = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_PAUSE = 0.01


class SQLite:
    """One SQLite file and the settings under which connections to it are opened.

    Attributes:
        path: The file, absolute: it stays the same when the process changes its directory.
        busy_timeout: Seconds to wait for another process's write lock.
    """

    def __init__(self, url: sa.URL, *, synchronous: Synchronous, busy_timeout: float) -> None:
        if synchronous not in ("full", "normal"):
            raise InvalidValue(f"synchronous must be 'full' or 'normal', not {synchronous!r}")
        self.path = _file(url)
        self.busy_timeout = busy_timeout
        self._pragmas = (f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}", f"PRAGMA synchronous = {synchronous}")
        self.engine = sa.create_engine(
            url.set(drivername="sqlite+pysqlite", database=self.path),
            poolclass=sa.NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False},  # a keeper may be closed from another thread
            isolation_level="AUTOCOMMIT",  # transactions are begun below, IMMEDIATE where they write
        )

    # --- Connections and transactions ---------------------------------------------------------------

    def connect(self) -> sa.Connection:
        """Open a connection, in WAL mode and with the settings; for the calling thread only.

        Raises:
            DriverError: This Python's SQLite is too old.
        """
        check_version(sqlite3.sqlite_version_info)
        connection = self.engine.connect()
        try:
            for pragma in self._pragmas:
                connection.exec_driver_sql(pragma)
            if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def run(self, connection: sa.Connection, function: Callable[[sa.Connection], T], *, write: bool) -> T:
        """Call `function`, in a transaction that takes the write lock at once where it writes.

        A transaction that began by reading could not upgrade once another process has written,
        however long it waited, so every writing one is IMMEDIATE.
        """
        if not write:
            return function(connection)
        driver: Any = connection.connection.driver_connection  # saves a third of a short transaction's time
        driver.execute("BEGIN IMMEDIATE")
        try:
            result = function(connection)
            driver.execute("COMMIT")
        except BaseException:
            if driver.in_transaction:  # some errors have rolled back by themselves
                driver.execute("ROLLBACK")
            raise
        return result

    def patiently(self, attempt: Callable[[], T]) -> T:
        """Repeat `attempt` while the file is locked, for the busy timeout.

        SQLite waits by itself for a write lock, but answers at once that the file is busy while
        another process recovers the log, closes the file last, or switches it to WAL.
        """
        deadline = time.monotonic() + self.busy_timeout
        while True:
            try:
                return attempt()
            except (DBAPIError, sqlite3.Error) as error:
                if not self.is_busy(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE)

    # --- Errors -------------------------------------------------------------------------------------

    def is_busy(self, error: BaseException) -> bool:
        return _code(_own(error)) in _BUSY

    def spoils(self, error: BaseException) -> bool:
        """Whether the connection is better opened anew after this error."""
        return _code(_own(error)) not in (*_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FULL)

    def translate(self, error: BaseException) -> DriverError:
        """Return what the user is told; it names the file and the way out, and no parameters."""
        own = _own(error)
        if "no such table" in str(own):
            return SchemaMissing(f"{self.path!r} has no tables for this queue: run `await queue.setup()` ({own})")
        return DriverError(f"{self._explain(_code(own))} ({own})")

    def _explain(self, code: int) -> str:
        path = repr(self.path)
        if code in _BUSY:
            return (
                f"{path} was locked by another process for longer than the busy_timeout of {self.busy_timeout:g} s: "
                "try again, shorten that process's transactions, or raise busy_timeout"
            )
        if code == sqlite3.SQLITE_CANTOPEN:
            return f"cannot open {path}: its folder must exist and this process must be able to write there"
        if code == sqlite3.SQLITE_READONLY:
            return f"cannot write to {path}: this process must be able to write to the file and to its folder"
        if code == sqlite3.SQLITE_NOTADB:
            return f"{path} is not a SQLite database: point the queue at another file, or move this one away"
        if code == sqlite3.SQLITE_CORRUPT:
            return (
                f"{path} is damaged: restore it from a backup, or save what can be read with "
                "the sqlite3 shell's .recover, and point the queue at the result"
            )
        if code == sqlite3.SQLITE_FULL:
            return f"no space is left for {path}: nothing was stored; free some and try again"
        return f"SQLite could not do it on {path}"


def check_version(found: tuple[int, ...]) -> None:
    """Refuse a SQLite without RETURNING."""
    if found < NEEDED:
        needed = ".".join(map(str, NEEDED))
        raise DriverError(
            f"SQLite {needed} or newer is needed, but this Python has {'.'.join(map(str, found))}: "
            "use a Python that was built with a newer one"
        )


def _file(url: sa.URL) -> str:
    """Return the absolute path of the file that a URL names."""
    database = url.database or ""
    if database in ("", ":memory:") or database.startswith("file:") or "uri" in url.query or "mode" in url.query:
        raise InvalidValue(
            f"SQLQueue needs a SQLite file, such as sqlite:///jobs.db, not the database {database!r}; "
            "for a queue in memory use lagoqueue.MemoryQueue"
        )
    return str(Path(database).absolute())


def _own(error: BaseException) -> BaseException:
    """Return the driver's own error: SQLAlchemy's text holds the statement, the driver's does not."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _code(error: BaseException) -> int:
    """Return the primary result code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
