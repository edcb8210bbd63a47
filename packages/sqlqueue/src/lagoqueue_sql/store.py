"""`Store`: one connection, opened when it is first needed, and functions run on it in a transaction each."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from lagoqueue.errors import OutcomeUnknown
from lagoqueue_sql import versioning
from lagoqueue_sql.database import Database, Mode, Trouble
from lagoqueue_sql.forking import close_before_fork
from lagoqueue_sql.link import Link
from lagoqueue_sql.schema import Schema
from lagoqueue_sql.statements import Statements

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds before a transaction that was rolled back on account of another is tried again."""

_log = logging.getLogger("lagoqueue.sql")

IDLE = 10.0
"""Seconds without use after which a connection is tried before it is trusted."""


class Store:
    """A connection for one thread at a time. It is opened anew after an error that spoils it.

    Attributes:
        lock: Held while the connection is used.
        asked_at: When its owner was asked for what it now runs, on the monotonic clock.
        overlaps: Whether what is put off is done while the server is at work; else its owner has to catch up after each call.
    """

    def __init__(self, database: Database, schema: Schema, sql: Statements) -> None:
        self._database = database
        self._schema = schema
        self._sql = sql
        self._link: Link | None = None
        self._used_at = 0.0
        self.asked_at = math.inf
        self._unreachable: Exception | None = None
        self._unreachable_at = 0.0
        self._urgent: deque[Callable[[], object]] = deque()
        self._later: deque[Callable[[], object]] = deque()
        self.overlaps = database.overlaps
        self.lock = threading.RLock()
        if not database.outlives_fork:
            close_before_fork(self)

    def run(self, function: Callable[[Link], T], mode: Mode) -> T:
        """Run `function` in a transaction and return its result once that is committed.

        Args:
            function: Gets the connection. It may run again when its transaction was rolled back on
                account of another, or when it only reads and the connection was lost; never after a commit.
            mode: What it does.

        Raises:
            OutcomeUnknown: The connection was lost meanwhile.
            DriverError: The database's own error, translated; nothing was changed.
        """
        with self.lock:
            return self._run(function, mode)

    def _run(self, function: Callable[[Link], T], mode: Mode) -> T:
        errors: tuple[type[Exception], ...] = (*self._database.errors, DBAPIError)
        deadline = time.monotonic() + self._database.patience
        pause = FIRST_PAUSE
        read_again = mode is Mode.READ
        while True:
            link: Link | None = None
            try:
                link = self._open()
                result = self._database.run(link, function, mode)
            except errors as error:
                trouble = self._database.trouble(error)
                if trouble is Trouble.CONFLICT and time.monotonic() < deadline:
                    time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - so that two do not meet again
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                if trouble in (Trouble.LOST, Trouble.SPOILT):
                    self.close()
                if trouble is Trouble.LOST and link is not None and read_again:
                    read_again = False
                    continue
                if trouble is Trouble.LOST and link is not None and mode is not Mode.READ:
                    raise OutcomeUnknown(
                        f"{self._database.translate(error)}; what was asked may or may not have been done, "
                        "and may be asked again: a push with the same id and exist_ok=True"
                    ) from error
                raise self._database.translate(error) from error
            self._used_at = time.monotonic()
            return result

    def setup(self) -> None:
        """Make or migrate the tables.

        Raises:
            DriverError: It cannot be done; nothing was changed, except in MySQL, which cannot take DDL back.
        """
        self.catch_up()  # for it goes by another connection
        errors: tuple[type[Exception], ...] = (*self._database.errors, DBAPIError)
        deadline = time.monotonic() + self._database.patience
        while True:
            try:
                with self.lock, self._database.ddl() as connection:
                    versioning.setup(connection, self._schema)
            except errors as error:
                if self._database.trouble(error) is Trouble.CONFLICT and time.monotonic() < deadline:
                    time.sleep(random.uniform(FIRST_PAUSE, LONGEST_PAUSE))  # noqa: S311
                    continue
                raise self._database.translate(error) from error
            return

    def _open(self) -> Link:
        link = self._link
        if link is not None and time.monotonic() - self._used_at > IDLE and self._database.is_stale(link):
            self.close()
            link = None
        if link is None:
            self.catch_up()  # it may take long
            link = self._connect()
            try:
                self._database.run(link, lambda link: versioning.check(link, self._sql, self._schema), Mode.READ)
            except BaseException:
                self._database.close(link)
                raise
            if self.overlaps:
                link.connection.meanwhile = self.catch_up
            self._link = link
            self._used_at = time.monotonic()
        return link

    def _connect(self) -> Link:
        """Open a connection. What waited while that was tried in vain fails likewise, rather than take as long again."""
        if self._unreachable is not None and self.asked_at < self._unreachable_at:
            raise self._unreachable.with_traceback(None)
        self._unreachable = None
        try:
            return self._database.open()
        except self._database.errors as error:
            if self._database.trouble(error) is Trouble.LOST:
                self._unreachable, self._unreachable_at = error, time.monotonic()
            raise

    def later(self, function: Callable[[], object], *, urgent: bool = False) -> None:
        """Put off what a call need not wait for; see `catch_up`.

        Args:
            function: What to do then. It runs no statement.
            urgent: Before all that is not.
        """
        (self._urgent if urgent else self._later).append(function)

    def catch_up(self) -> None:
        """Do what was put off: the server is at work meanwhile, or there is nothing for it to do."""
        while put_off := self._urgent or self._later:
            try:
                put_off.popleft()()
            except Exception:  # the statement that is under way is not to fail for it
                _log.exception("what was to follow a call failed")

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        link, self._link = self._link, None
        if link is not None:
            self._database.close(link)

    def interrupt(self) -> None:
        """From another thread: end what the connection waits for."""
        link = self._link
        if link is not None:
            self._database.interrupt(link)

    def abandon(self) -> Any:
        """Let go of a connection that a fork copied, without closing it: it is the parent's."""
        link, self._link = self._link, None
        return link
