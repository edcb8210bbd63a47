"""SQLite: how a file is opened, how a transaction is made there, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import sqlalchemy as sa

from lagoqueue.errors import DriverError, InvalidValue, SchemaMissing
from lagoqueue_sql.database import Database, Mode, Trouble, own_error
from lagoqueue_sql.dialects.sqlite_health import CHECKS
from lagoqueue_sql.dialects.sqlite_looking import SQLiteLooking
from lagoqueue_sql.dialects.sqlite_statements import SQLiteStatements
from lagoqueue_sql.health import Check
from lagoqueue_sql.link import Link, Placeholders, Row, Values
from lagoqueue_sql.outlook import Level
from lagoqueue_sql.rows import Key, key_item
from lagoqueue_sql.statements import Statements

T = TypeVar("T")

NEEDED = (3, 35, 0)
"""The first SQLite with RETURNING."""

Synchronous = Literal["full", "normal"]

_BUSY = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))


class SQLite(Database):
    """One SQLite file and the settings under which connections to it are opened.

    Attributes:
        path: The file, absolute: it stays the same when the process changes its directory.
        busy_timeout: Seconds to wait for another process's write lock.
    """

    placeholders: ClassVar[Placeholders] = "named"
    look_every: ClassVar[float] = 0.1
    poll: ClassVar[float] = 0.05
    claim_mode: ClassVar[Mode] = Mode.ATOMIC
    checks: ClassVar[Sequence[Check]] = CHECKS
    outlives_fork: ClassVar[bool] = False

    def __init__(self, url: sa.URL, *, synchronous: Synchronous, busy_timeout: float) -> None:
        if synchronous not in ("full", "normal"):
            raise InvalidValue(f"synchronous must be 'full' or 'normal', not {synchronous!r}")
        self.path = _file(url)
        self.busy_timeout = self.patience = busy_timeout
        self.statements = SQLiteStatements()
        self.looking = SQLiteLooking()
        self.errors = (sqlite3.Error,)
        self._pragmas = (f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}", f"PRAGMA synchronous = {synchronous}")
        self._engine = sa.create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )
        self.dialect = self._engine.dialect
        self._version = -1

    # --- Connections and transactions ---------------------------------------------------------------

    def open(self) -> Link:
        self._version = -1
        return Link(self._connect())

    def _connect(self) -> sqlite3.Connection:
        """Open a connection, in WAL mode and with the settings.

        Raises:
            DriverError: This Python's SQLite is too old.
        """
        check_version(sqlite3.sqlite_version_info)
        # A keeper may be closed from another thread. Transactions are begun below, not by the driver.
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            for pragma in self._pragmas:
                connection.execute(pragma)
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def run(self, link: Link, function: Callable[[Link], T], mode: Mode) -> T:
        """Call `function`, in a transaction that takes the write lock at once where it writes.

        A transaction that began by reading could not upgrade once another process has written,
        however long it waited, so every writing one is IMMEDIATE.
        """
        if mode is Mode.READ:
            return function(link)
        link.run("BEGIN IMMEDIATE")
        try:
            result = function(link)
            # failpoint: before_commit
            link.run("COMMIT")
        except BaseException:
            if link.connection.in_transaction:  # some errors have rolled back by themselves
                link.run("ROLLBACK")
            raise
        # failpoint: after_commit
        return result

    def close(self, link: Link) -> None:
        with suppress(sqlite3.Error):
            link.connection.close()

    def news(self, link: Link) -> bool:
        version = link.rows("PRAGMA data_version", {})[0][0]
        news, self._version = version != self._version, version
        return bool(news)

    @contextmanager
    def ddl(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
                    connection.exec_driver_sql("ROLLBACK")
                raise

    # --- Operations that differ ---------------------------------------------------------------------

    def push(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> int:
        return link.count(sql.push, rows[0]) if len(rows) == 1 else link.many(sql.push_each, rows)

    def push_each(self, link: Link, sql: Statements, rows: Sequence[dict[str, Any]]) -> list[bool]:
        return [link.count(sql.push, row) == 1 for row in rows]

    def claim(self, link: Link, sql: Statements, levels: Sequence[Level], values: dict[str, Any]) -> Sequence[Row]:
        take, _, taken = sql.claim.partition(";")
        left = limit = values["limit"]
        for queue, priority, floor, floor_seq in levels:
            if left == 0:
                break
            where = {"queue": queue, "priority": priority, "floor": floor, "floor_seq": floor_seq, "limit": left}
            left -= link.count(take, values | where)
        return link.rows(taken, values) if left < limit else []

    def ack(self, link: Link, sql: Statements, keys: Sequence[Key]) -> Collection[Key]:
        """Remove jobs that are done; of many, what each changed is seen before the next is asked for."""
        if len(keys) == 1:
            return keys if link.count(sql.ack, key_item(keys[0])) else ()
        changes: list[int] = []

        def items() -> Iterator[Values]:
            for key in keys:
                changes.append(link.connection.total_changes)
                yield {"s": key.seq, "r": key.token, "i": key.id}

        if link.many(sql.ack, items()) == len(keys):
            return keys
        changes.append(link.connection.total_changes)
        return [key for key, before, after in zip(keys, changes, changes[1:], strict=False) if after > before]

    def reclaim(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return link.rows(sql.reclaim, values)

    def release_orphans(self, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        return link.rows(sql.release_orphans, values)

    def held(self, link: Link, sql: Statements, statement: str, values: Values) -> Sequence[Row]:
        return link.rows(statement, values)

    # --- Errors -------------------------------------------------------------------------------------

    def trouble(self, error: Exception) -> Trouble:
        """Busy is a conflict: SQLite waits by itself for a write lock, but answers at once that the file
        is busy while another process recovers the log, closes the file last, or switches it to WAL.
        """
        code = _code(own_error(error))
        if code in _BUSY:
            return Trouble.CONFLICT
        return Trouble.REFUSED if code in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FULL) else Trouble.SPOILT

    def translate(self, error: Exception) -> DriverError:
        own = own_error(error)
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
    if url.username or url.password or url.host:
        raise InvalidValue(
            "SQLite has no users, passwords and hosts, and encrypts nothing: give the file alone, sqlite:///jobs.db"
        )
    return str(Path(database).absolute())


def _code(error: BaseException) -> int:
    """Return the primary result code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
