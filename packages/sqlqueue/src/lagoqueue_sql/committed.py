"""What is told once a caller's transaction has been committed, as far as SQLAlchemy lets that be known.

One listener serves all sessions: an application makes a session for each transaction, and giving each its
own would cost a tenth of the transaction. It listens from the import on, because SQLAlchemy cannot add one
while another thread commits. Those of a connection stay for its life, because it cannot remove one while
it runs. What they have to tell lives no longer than the transaction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.sql.elements import SavepointClause

if TYPE_CHECKING:
    from lagoqueue_sql.queue import SQLQueue

PAUSE = 0.005
"""Seconds from the moment at which a connection is about to commit until the queue looks for what it brought."""

Pushed = tuple["SQLQueue", Sequence[str]]
"""A queue, and the labels of jobs that were stored in it."""

_transactions: WeakKeyDictionary[SessionTransaction, list[Pushed]] = WeakKeyDictionary()
"""What was pushed in a session's transaction or savepoint; one that is rolled back is gone, and this with it."""

_connections: WeakKeyDictionary[sa.Connection, _ConnectionWatch] = WeakKeyDictionary()


def count(pushed: Sequence[Pushed]) -> None:
    """Count the jobs."""
    for queue, labels in pushed:
        queue._chores.counts.pushed(labels)


def wake(pushed: Sequence[Pushed]) -> None:
    """Wake who waits for the jobs, in this process and in others."""
    for queue in dict.fromkeys(queue for queue, _ in pushed):
        queue._wake()


def count_and_wake(pushed: Sequence[Pushed]) -> None:
    """Do both, after a commit."""
    count(pushed)
    wake(pushed)


def with_session(session: Session, pushed: Pushed) -> None:
    """Tell when the session's transaction, in which the jobs were stored, has been committed."""
    transaction = _innermost(session)
    assert transaction is not None, "a statement has just begun one"
    _transactions.setdefault(transaction, []).append(pushed)


def with_connection(connection: sa.Connection, pushed: Pushed) -> None:
    """Do the same for a connection's transaction."""
    watch = _connections.get(connection)
    if watch is None:
        watch = _connections[connection] = _ConnectionWatch(connection)
    watch.pushed.append(pushed)


@event.listens_for(Session, "after_commit")
def _session_committed(session: Session) -> None:
    transaction = _innermost(session)
    pushed = None if transaction is None else _transactions.pop(transaction, None)
    if transaction is None or pushed is None:
        return
    if transaction.nested and transaction.parent is not None:  # a savepoint: what encloses it decides
        _transactions.setdefault(transaction.parent, []).extend(pushed)
    else:
        count_and_wake(pushed)


def _innermost(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()


class _ConnectionWatch:
    """Rolling back to a savepoint undoes the end of the list: what was pushed since the savepoint was made.

    A connection tells only that it is about to commit. Counting then is good enough; for waking it is
    too early, so that follows a moment later. Should the moment be too short, polling finds the jobs.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.pushed: list[Pushed] = []
        self._savepoints: dict[str, int] = {}
        event.listen(connection, "commit", self._committing)
        event.listen(connection, "rollback", self._rolled_back)
        event.listen(connection, "before_execute", self._executing)  # "savepoint" does not tell the name
        event.listen(connection, "rollback_savepoint", self._rolled_back_to)

    def _committing(self, connection: sa.Connection) -> None:
        pushed = self._end()
        if pushed:
            count(pushed)
            _soon(partial(wake, pushed))

    def _rolled_back(self, connection: sa.Connection) -> None:
        self._end()

    def _executing(self, connection: sa.Connection, statement: object, *_: object) -> None:
        if isinstance(statement, SavepointClause):
            self._savepoints[statement.ident] = len(self.pushed)

    def _rolled_back_to(self, connection: sa.Connection, name: str, context: None) -> None:
        del self.pushed[self._savepoints.get(name, 0) :]  # one that was made before the first push is not known

    def _end(self) -> list[Pushed]:
        pushed, self.pushed = self.pushed, []
        self._savepoints.clear()
        return pushed


def _soon(function: Callable[[], object]) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        timer = threading.Timer(PAUSE, function)
        timer.daemon = True
        timer.start()
    else:
        loop.call_later(PAUSE, function)
