"""`within`: a producer that pushes in a transaction of the caller's, on the caller's own connection.

Nothing is committed or rolled back here, and errors of the database are the driver's own, as that
connection's user expects them. A job whose id is live is skipped by its INSERT and so leaves the
transaction usable; what else the call had stored is removed again, without a savepoint, which in
PostgreSQL costs and in SQLite's driver commits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from lagoqueue.errors import DuplicateJob, InvalidValue
from lagoqueue.job import Job
from lagoqueue.observer import Observer
from lagoqueue_sql import committed
from lagoqueue_sql.committed import Pushed
from lagoqueue_sql.link import Placeholders, Row, Values, spell
from lagoqueue_sql.push import checked, first_missing, row_to_push
from lagoqueue_sql.rows import as_json

if TYPE_CHECKING:
    from lagoqueue_sql.queue import SQLQueue

WITHDRAW = "DELETE FROM {jobs} WHERE id = :id AND reserved_at IS NULL"
"""Unless a worker has taken it already, as it may where the connection commits by itself."""

DRIVERS: dict[str, tuple[str, Placeholders]] = {
    "sqlite3": ("sqlite", "named"),
    "psycopg": ("postgresql", "pyformat"),
    "psycopg2": ("postgresql", "pyformat"),
    "pymysql": ("mysql", "pyformat"),
    "MySQLdb": ("mysql", "pyformat"),
}
"""Database and placeholders of the drivers whose own connections are taken, by the package."""


# --- What is taken --------------------------------------------------------------------------------


class DBConnection(Protocol):
    """A driver's own connection (sqlite3, psycopg, psycopg2, PyMySQL, mysqlclient), or one of Django's `connections`."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...


class ConnectionProxy(Protocol):
    """`django.db.connection`, which has what a connection has only when it is asked."""

    def __getattr__(self, item: str, /) -> Any: ...


class AsyncPsycopgConnection(Protocol):
    """A `psycopg.AsyncConnection`."""

    @property
    def pgconn(self) -> Any: ...
    async def commit(self) -> None: ...


SyncHandle = Session | scoped_session[Any] | sa.Connection | DBConnection | ConnectionProxy
AsyncHandle = AsyncSession | async_scoped_session[Any] | AsyncConnection | AsyncPsycopgConnection


class Ran(NamedTuple):
    """What came of a statement."""

    changed: int
    rows: Sequence[Row] = ()


class Access(NamedTuple):
    """How a connection is used.

    Attributes:
        database: The kind, as SQLAlchemy names it.
        placeholders: How its statements write parameters.
        run: Runs a statement: at once, or as a coroutine.
        announce: Called with what was stored, sees to it that it is counted, and wakes who waits once it is committed.
        rows: Whether `run` returns rows.
    """

    database: str
    placeholders: Placeholders
    run: Callable[[str, Values], Any]
    announce: Callable[[Pushed], object]
    rows: bool = True


# --- The producers ----------------------------------------------------------------------------------


class _Within:
    """What the two producers share."""

    def __init__(self, queue: SQLQueue, access: Access, labels: tuple[str, ...] | None) -> None:
        self.labels = queue.labels if labels is None else labels
        self._relabel = labels is not None
        self._queue = queue
        self._access = access
        self._sql = queue._spelled(access.placeholders)

    @property
    def observers(self) -> list[Observer]:
        """Told of pushes made by `dispatch`, before the commit; the queue's own."""
        return self._queue.observers

    def _rows(self, jobs: Sequence[Job], delay: float | None) -> list[dict[str, Any]]:
        if self._relabel:
            jobs = [msgspec.structs.replace(job, queue=self.labels[0]) for job in jobs]
        wait, now = checked(jobs, delay), self._queue._now()
        return [row_to_push(job, wait, now) for job in jobs]

    def _insert(self, rows: Sequence[dict[str, Any]], exist_ok: bool) -> Generator[tuple[str, Values], Ran, int]:
        """Yield the statements that insert the jobs, get what came of each, and return how many were new.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given; nothing of this is stored.
        """
        new: list[str] = []
        insert = self._sql.push.replace(";", "")  # MySQL's is in two parts, for several jobs at once
        if len(rows) > 1 and self._access.database == "postgresql" and self._access.rows:
            ran = yield self._sql.push_each, {"batch": as_json(rows), "now": rows[0]["now"]}
            new += [row[0] for row in ran.rows]
        else:
            for row in rows:
                if (yield insert, row).changed > 0:
                    new.append(row["id"])
                elif not exist_ok:
                    break
        if len(new) < len(rows) and not exist_ok:
            withdraw = spell(WITHDRAW.format(**self._queue._schema.names), self._access.placeholders)
            for job_id in new:
                yield withdraw, {"id": job_id}
            raise DuplicateJob(first_missing([row["id"] for row in rows], new))
        if new:
            self._access.announce((self._queue, [row["queue"] for row in rows[: len(new)]]))
        return len(new)


class Within(_Within):
    """Pushes through a connection or session that is used with `await`. Made by `SQLQueue.within`."""

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Store a job in the transaction; see `Queue.push`."""
        return await self.push_many([job], delay=delay, exist_ok=exist_ok) == 1

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Store jobs in the transaction and return how many were new.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given. None of them is stored,
                and the transaction can go on.
        """
        steps = self._insert(self._rows(jobs, delay), exist_ok)
        ran: Ran | None = None
        while True:
            try:
                statement, values = next(steps) if ran is None else steps.send(ran)
            except StopIteration as stop:
                stored: int = stop.value
                return stored
            ran = await self._access.run(statement, values)


class SyncWithin(_Within):
    """Pushes through a connection or session that blocks. Made by `SQLQueue.within`."""

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Store a job in the transaction; see `Queue.push`."""
        return self.push_many_sync([job], delay=delay, exist_ok=exist_ok) == 1

    def push_many_sync(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Store jobs in the transaction and return how many were new; see `Within.push_many`."""
        steps = self._insert(self._rows(jobs, delay), exist_ok)
        ran: Ran | None = None
        while True:
            try:
                statement, values = next(steps) if ran is None else steps.send(ran)
            except StopIteration as stop:
                stored: int = stop.value
                return stored
            ran = self._access.run(statement, values)


def bind(queue: SQLQueue, handle: object, labels: tuple[str, ...] | None = None) -> Within | SyncWithin:
    """Return the producer for a connection or session.

    Args:
        queue: Where the jobs go.
        handle: The connection or session.
        labels: A named view's, whose first all jobs get.

    Raises:
        InvalidValue: It is of no kind that is known, or of another database than the queue.
    """
    if isinstance(handle, (scoped_session, async_scoped_session)):
        handle = handle()
    access = _sqlalchemy(handle)
    if access is not None:
        return _checked(
            queue, Within(queue, access, labels) if _is_async(handle) else SyncWithin(queue, access, labels)
        )
    psycopg = sys.modules.get("psycopg")  # whoever holds one of its connections has imported it
    if psycopg is not None and isinstance(handle, psycopg.AsyncConnection):
        access = Access("postgresql", "pyformat", partial(_run_async_psycopg, handle), _count_now)
        return _checked(queue, Within(queue, access, labels))
    access = _driver(handle) or _django(handle)
    if access is None:
        raise InvalidValue(
            "within() takes a SQLAlchemy Session, Connection, AsyncSession or AsyncConnection, a psycopg Connection or "
            "AsyncConnection, a connection of sqlite3, psycopg2, PyMySQL or mysqlclient, or django.db.connection, "
            f"not {type(handle).__module__}.{type(handle).__qualname__}"
        )
    return _checked(queue, SyncWithin(queue, access, labels))


def _checked(queue: SQLQueue, producer: Within | SyncWithin) -> Within | SyncWithin:
    found, wanted = _kind(producer._access.database), _kind(queue._database.dialect.name)
    if found != wanted:
        raise InvalidValue(
            f"within() needs a connection to the queue's own database, which is {wanted}, but this one is to {found}: "
            "a transaction cannot span the two"
        )
    return producer


def _kind(database: str) -> str:
    return "mysql" if database == "mariadb" else database


# --- SQLAlchemy -----------------------------------------------------------------------------------


def run_text(connection: sa.Connection, statement: str, values: Values) -> Ran:
    """Run a statement through SQLAlchemy, whatever the driver below."""
    lists = frozenset(name for name, value in values.items() if isinstance(value, (tuple, list, set)))
    plain = {name: list(value) if name in lists else value for name, value in values.items()}
    result = connection.execute(_text(statement, lists), plain)
    rows = [tuple(row) for row in result] if result.returns_rows else []
    return Ran(result.rowcount, rows)


@lru_cache(64)
def _text(statement: str, lists: frozenset[str]) -> sa.TextClause:
    text = sa.text(statement).bindparams(*(sa.bindparam(name, expanding=True) for name in lists))
    return text.execution_options(preserve_rowcount=True)


def _sqlalchemy(handle: object) -> Access | None:
    if isinstance(handle, Session):
        return Access(_bind_of(handle), "named", partial(_run_session, handle), partial(committed.with_session, handle))
    if isinstance(handle, sa.Connection):
        return Access(
            handle.dialect.name, "named", partial(run_text, handle), partial(committed.with_connection, handle)
        )
    sync: object
    if isinstance(handle, AsyncSession):
        sync = handle.sync_session
    elif isinstance(handle, AsyncConnection):
        sync = handle.sync_connection
        if sync is None:
            raise InvalidValue(
                "this AsyncConnection is not open yet: use it in `async with engine.begin() as connection:`"
            )
    else:
        return None
    access = _sqlalchemy(sync)
    assert access is not None
    return access._replace(run=partial(_run_in_greenlet, handle, access.run))


def _is_async(handle: object) -> bool:
    return isinstance(handle, (AsyncSession, AsyncConnection))


def _bind_of(session: Session) -> str:
    try:
        return str(session.get_bind().dialect.name)
    except UnboundExecutionError:
        raise InvalidValue(
            "this Session has no engine of its own, only one for each model: "
            "give within() the connection, session.connection(bind_arguments={'mapper': Model})"
        ) from None


def _run_session(session: Session, statement: str, values: Values) -> Ran:
    return run_text(session.connection(), statement, values)


async def _run_in_greenlet(
    handle: AsyncSession | AsyncConnection, run: Callable[[str, Values], Ran], statement: str, values: Values
) -> Ran:
    return await handle.run_sync(lambda _: run(statement, values))


# --- Drivers and Django -----------------------------------------------------------------------------


def _count_now(pushed: Pushed) -> None:
    """Whether and when it commits is not to be known, so polling finds the jobs."""
    queue, labels = pushed
    queue._chores.counts.pushed(labels)
    queue._see_to_chores()


def _driver(handle: object) -> Access | None:
    for base in type(handle).__mro__:
        package = base.__module__.partition(".")[0]
        if package in DRIVERS and hasattr(handle, "cursor"):
            database, placeholders = DRIVERS[package]
            if package == "psycopg":
                return Access(database, placeholders, partial(_run_psycopg, handle), _count_now)
            return Access(database, placeholders, partial(_run_cursor, handle), _count_now, rows=False)
    return None


def _run_cursor(connection: Any, statement: str, values: Values) -> Ran:
    cursor = connection.cursor()
    try:
        cursor.execute(statement, dict(values))
        return Ran(cursor.rowcount)
    finally:
        cursor.close()


def _run_psycopg(connection: Any, statement: str, values: Values) -> Ran:
    psycopg: Any = sys.modules["psycopg"]
    with psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:  # whatever its own factories are
        cursor.execute(statement, values)
        return Ran(cursor.rowcount, cursor.fetchall() if cursor.description else ())


async def _run_async_psycopg(connection: Any, statement: str, values: Values) -> Ran:
    psycopg: Any = sys.modules["psycopg"]
    async with psycopg.AsyncCursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
        await cursor.execute(statement, values)
        return Ran(cursor.rowcount, await cursor.fetchall() if cursor.description else ())


def _django(handle: Any) -> Access | None:
    vendor = getattr(handle, "vendor", None)
    if not isinstance(vendor, str) or not hasattr(handle, "cursor"):
        return None
    return Access(vendor, "pyformat", partial(_run_cursor, handle), partial(_announce_django, handle), rows=False)


def _announce_django(connection: Any, pushed: Pushed) -> None:
    if connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(partial(committed.count_and_wake, [pushed]))
    else:  # a transaction that the application manages without Django's help
        _count_now(pushed)
