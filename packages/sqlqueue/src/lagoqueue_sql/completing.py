"""`completing`: a handler's own transaction, in which its job is taken off the queue as well.

The job is taken off last, right before the commit. Earlier, its row would be locked for as long as
the block runs: the worker's keeper, which extends all its reservations with one statement, would wait for
that and lose the others, and of a worker that hangs in a block, with its connection open, nobody
could ever take the job over. So the block begins with a look at the reservation that locks nothing, to
notice a lost one before any work, and it is the deletion at the end that decides.

On SQLite it is taken off first: whatever writes there locks the whole file in any case, and a
transaction that begins by writing waits for its turn, while one that begins by reading may find at its
first write that it has to be rolled back.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, scoped_session

from lagoqueue.current import completing, seconds_running
from lagoqueue.errors import InvalidValue, LagoqueueError, ReservationLost
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue_sql.connecting import Options, to_url
from lagoqueue_sql.database import Database
from lagoqueue_sql.dialects.sqlite import SQLite
from lagoqueue_sql.link import Link, Row, Values
from lagoqueue_sql.rows import key_of
from lagoqueue_sql.settle import Endings, settle
from lagoqueue_sql.within import run_text

if TYPE_CHECKING:
    from lagoqueue_sql.queue import SQLQueue

SYNC_DRIVERS = {"postgresql": "psycopg", "sqlite": "pysqlite", "mysql": "pymysql", "mariadb": "pymysql"}
ASYNC_DRIVERS = {"postgresql": "psycopg", "sqlite": "aiosqlite", "mysql": "asyncmy", "mariadb": "asyncmy"}

AsyncTarget = TypeVar("AsyncTarget", bound="AsyncSession | AsyncConnection | async_scoped_session[Any]")
SyncTarget = TypeVar("SyncTarget", bound="Session | sa.Connection | scoped_session[Any]")


class Engines:
    """Where the connections for `completing` come from: the engine that the user gave, or one that is made when needed.

    As many connections as there are blocks at once: a worker's concurrency bounds them, and a handler
    that waits for a connection would only hold its job up.
    """

    def __init__(self, given: str | sa.URL | sa.Engine | AsyncEngine, database: Database, options: Options) -> None:
        self._given = given
        self._database = database
        self._options = options
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._sync: sa.Engine | None = None
        self._async: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = WeakKeyDictionary()

    def sync(self) -> sa.Engine:
        """Return the engine for threads."""
        if isinstance(self._given, sa.Engine):
            return self._given
        self._leave_to_the_parent()
        with self._lock:
            if self._sync is None:
                url, settings = self._settings(SYNC_DRIVERS)
                self._sync = sa.create_engine(url, poolclass=sa.QueuePool, **settings)
                self._prepare(self._sync)
            return self._sync

    def of_loop(self) -> AsyncEngine:
        """Return the engine for the running event loop, since a connection belongs to the loop that opened it.

        Raises:
            InvalidValue: The async driver is not installed, or greenlet, which SQLAlchemy needs with it.
        """
        if isinstance(self._given, AsyncEngine):
            return self._given
        loop = asyncio.get_running_loop()
        self._leave_to_the_parent()
        with self._lock:
            engine = self._async.get(loop)
            if engine is None:
                url, settings = self._settings(ASYNC_DRIVERS)
                if find_spec("greenlet") is None:
                    raise _needs("greenlet")
                try:
                    engine = create_async_engine(url, poolclass=sa.AsyncAdaptedQueuePool, **settings)
                except ImportError:
                    raise _needs(url.get_driver_name()) from None
                self._prepare(engine.sync_engine)
                self._async[loop] = engine
            return engine

    def _settings(self, drivers: dict[str, str]) -> tuple[sa.URL, dict[str, Any]]:
        url = to_url(self._given)
        kind = url.get_backend_name()
        url = url.set(drivername=f"{kind}+{drivers[kind]}")
        settings: dict[str, Any] = {"pool_size": 0}
        if isinstance(self._database, SQLite):
            url = url.set(database=self._database.path)  # which stays the same when the process changes its directory
            settings["connect_args"] = {"timeout": self._database.busy_timeout}
        elif kind == "postgresql":
            from lagoqueue_sql.dialects.postgresql import PostgreSQL  # which imports psycopg

            assert isinstance(self._database, PostgreSQL)
            arguments = self._database.connect_arguments
            settings["connect_args"] = {key: value for key, value in arguments.items() if key != "autocommit"}
            settings["pool_pre_ping"] = True
        else:
            from lagoqueue_sql.dialects.mysql import MySQL  # which imports PyMySQL

            assert isinstance(self._database, MySQL)
            settings["connect_args"] = {**(self._options.connect_args or {}), **self._database.login}
            settings["isolation_level"] = "READ COMMITTED"  # as the queue's own connection has
            settings["pool_pre_ping"] = True
        return url, settings

    def _prepare(self, engine: sa.Engine) -> None:
        synchronous = self._options.synchronous
        if synchronous is not None:

            @event.listens_for(engine, "connect")
            def connect(connection: Any, _: object) -> None:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA synchronous = {synchronous}")
                cursor.close()

    def _leave_to_the_parent(self) -> None:
        """In a forked child, let go of the parent's connections without touching them."""
        if self._pid != os.getpid():
            for engine in [*(each.sync_engine for each in self._async.values()), *filter(None, [self._sync])]:
                engine.dispose(close=False)
            self._forget()

    async def close(self) -> None:
        """Close the connections that were opened here; those of other loops can only be let go."""
        self._leave_to_the_parent()
        with self._lock:
            own = self._async.pop(asyncio.get_running_loop(), None)
            others, engine = list(self._async.values()), self._sync
            self._async.clear()
            self._sync = None
        for other in others:
            other.sync_engine.dispose(close=False)
        if own is not None:
            await own.dispose()
        if engine is not None:
            await asyncio.to_thread(engine.dispose)


def _needs(package: str) -> InvalidValue:
    return InvalidValue(
        f"`async with queue.completing(job)` needs {package}: pip install {package}; "
        "or give SQLQueue your own AsyncEngine, or use `with` in a handler that is not async"
    )


# --- The block ------------------------------------------------------------------------------------


class Completing(AbstractAsyncContextManager["AsyncConnection"], AbstractContextManager["sa.Connection"]):
    """What `SQLQueue.completing(job)` returns: `async with` gives an AsyncConnection, `with` a Connection."""

    def __init__(self, queue: SQLQueue, job: Job) -> None:
        self._queue = queue
        self._job = job

    async def __aenter__(self) -> AsyncConnection:
        self._awaited = in_coroutine(self._queue, self._job, None)
        connection: AsyncConnection = await self._awaited.__aenter__()
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._awaited.__aexit__(kind, error, trace)

    def __enter__(self) -> sa.Connection:
        self._blocking = in_thread(self._queue, self._job, None)
        connection: sa.Connection = self._blocking.__enter__()
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._blocking.__exit__(kind, error, trace)


def completing_with(queue: SQLQueue, job: Job, target: Any) -> Any:
    """Return the block for a session or connection of the caller's.

    Raises:
        InvalidValue: It is neither.
    """
    if isinstance(target, (AsyncSession, AsyncConnection, async_scoped_session)):
        return in_coroutine(queue, job, target)
    if isinstance(target, (Session, sa.Connection, scoped_session)):
        return in_thread(queue, job, target)
    raise InvalidValue(
        "completing() takes a SQLAlchemy AsyncSession, AsyncConnection, Session or Connection, "
        f"not {type(target).__module__}.{type(target).__qualname__}"
    )


@asynccontextmanager
async def in_coroutine(queue: SQLQueue, job: Job, given: Any) -> AsyncIterator[Any]:
    """The block of an async handler."""
    async with AsyncExitStack() as stack:
        target = given() if isinstance(given, async_scoped_session) else given
        if target is None:
            target = await stack.enter_async_context(queue._engines.of_loop().connect())
        try:
            transaction = await target.run_sync(lambda sync: begin(queue, job, sync))
            yield target if given is None else given
            with completing(job):
                await target.run_sync(lambda sync: end(queue, job, sync, transaction))
                # failpoint: inside_completing
                cancelled = await _outlast(target.commit())
        except BaseException:
            with suppress(Exception):  # the first error tells more
                await target.rollback()
            raise
        # failpoint: after_completing
        _count(queue, job)
        if cancelled is not None:
            raise cancelled


@contextmanager
def in_thread(queue: SQLQueue, job: Job, given: Any) -> Iterator[Any]:
    """The block of a handler that is not async."""
    with ExitStack() as stack:
        target = given() if isinstance(given, scoped_session) else given
        if target is None:
            target = stack.enter_context(queue._engines.sync().connect())
        try:
            transaction = begin(queue, job, target)
            yield target if given is None else given
            with completing(job):
                end(queue, job, target, transaction)
                # failpoint: inside_completing_sync
                target.commit()
        except BaseException:
            with suppress(Exception):
                target.rollback()
            raise
        # failpoint: after_completing_sync
        _count(queue, job)


def begin(queue: SQLQueue, job: Job, target: Session | sa.Connection) -> object:
    """Make sure of the reservation, and return the transaction that this has begun.

    Raises:
        ReservationLost: The reservation ended before.
    """
    if _takes_off_first(queue):
        _take_off(queue, job, target)
    else:
        key = key_of(job)
        rows = _link(target).rows(queue._spelled("named").outcome, {"seq": key.seq, "id": key.id})
        if not rows or (_text(rows[0][0]), rows[0][1] is None) != (key.token, False):
            raise ReservationLost(job.id)
    return target.get_transaction()


def end(queue: SQLQueue, job: Job, target: Session | sa.Connection, transaction: object) -> None:
    """Take the job off, if that was not done first; only the commit is left then.

    Raises:
        ReservationLost: The reservation ended meanwhile.
        LagoqueueError: This is another transaction than the one that was begun.
    """
    if target.get_transaction() is not transaction:
        raise LagoqueueError(
            "the block of completing() has committed or rolled back by itself, so that its effects and the end of "
            "the job are no longer one: leave both to completing()"
        )
    if not _takes_off_first(queue):
        if isinstance(target, Session):
            target.flush()  # so that what the database refuses is refused before the row is locked
        _take_off(queue, job, target)


def _takes_off_first(queue: SQLQueue) -> bool:
    return queue._database.dialect.name == "sqlite"


def _take_off(queue: SQLQueue, job: Job, target: Session | sa.Connection) -> None:
    done = Endings([Settlement(job, "ack")])
    if settle(queue._database, _link(target), queue._spelled("named"), done, now=queue._now()):
        raise ReservationLost(job.id)


def _link(target: Session | sa.Connection) -> SQLAlchemyLink:
    return SQLAlchemyLink(target.connection() if isinstance(target, Session) else target)


def _text(value: str | bytes) -> str:
    """MySQL keeps the receipt as bytes, and only the queue's own connections turn it into text."""
    return value.decode() if isinstance(value, bytes) else value


def _count(queue: SQLQueue, job: Job) -> None:
    queue._chores.counts.settled([Settlement(job, "ack", seconds=seconds_running(job))])
    queue._see_to_chores()


async def _outlast(commit: Coroutine[Any, Any, None]) -> asyncio.CancelledError | None:
    """Wait for the outcome of a commit, even when cancelled; return the cancellation."""
    task = asyncio.ensure_future(commit)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and task.exception() is not None:
        raise cancelled  # nothing was done
    task.result()
    return cancelled


class SQLAlchemyLink(Link):
    """A SQLAlchemy connection as the operations see it."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def rows(self, statement: str, values: Values) -> list[Row]:
        return list(run_text(self.connection, statement, values).rows)

    def count(self, statement: str, values: Values) -> int:
        return run_text(self.connection, statement, values).changed
