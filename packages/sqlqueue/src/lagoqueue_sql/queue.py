"""`SQLQueue`: the queue's operations, each one transaction on the thread that owns the connection."""

from __future__ import annotations

import random
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from functools import cache, partial
from typing import Any, TextIO, TypeVar, overload

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from lagoqueue._time import Clock, Seconds, SystemClock, at_least_one, to_seconds
from lagoqueue.errors import QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Keeper, NamedQueue, Queue, Settlement, Turn, WorkerInfo
from lagoqueue_sql import ddl, waking
from lagoqueue_sql.chores import QueueChores
from lagoqueue_sql.claim import Claim
from lagoqueue_sql.completing import AsyncTarget, Completing, Engines, SyncTarget, completing_with
from lagoqueue_sql.connecting import Options, Wakeup, to_database, to_url
from lagoqueue_sql.database import Mode
from lagoqueue_sql.dialects.sqlite import Synchronous
from lagoqueue_sql.failed import SQLFailedJobs
from lagoqueue_sql.keeper import SQLKeeper
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.operations import Operations
from lagoqueue_sql.push import checked, row_to_push
from lagoqueue_sql.pusher import Push
from lagoqueue_sql.schema import Schema
from lagoqueue_sql.statements import build
from lagoqueue_sql.statements_looking import build_looking
from lagoqueue_sql.store import Store
from lagoqueue_sql.thread import OwnerThread
from lagoqueue_sql.waiting import Bell
from lagoqueue_sql.within import AsyncHandle, SyncHandle, SyncWithin, Within, bind

T = TypeVar("T")

LOOKING = 2.0
"""Seconds that a look at a server may take, or the queue's `timeout` if that is shorter."""


class SQLQueue(Queue):
    """A durable queue in a SQL database: PostgreSQL, MySQL, MariaDB or SQLite.

    ::

        queue = SQLQueue("postgresql://user@host/database")
        await queue.setup()

    Any number of processes may use it at once. Safe from threads and several event loops; a forked
    child opens its own connection. It connects when it is first used.

    Args:
        url_or_engine: A SQLAlchemy URL, Engine or AsyncEngine. Of an engine the URL is used: the queue
            keeps its own connection, in a thread of its own, since it must never wait for the
            application's pool. `completing` gives out the engine's connections.
        table: Table of the live jobs.
        failed_table: Table of the failed jobs; `failed_` and the other's name unless given.
        visibility_timeout: How long a reservation lasts unless it is extended; a worker extends
            its own for as long as it lives.
        timeout: How long one call may wait for a server before the connection is given up.
        wakeup: On PostgreSQL, "notify" wakes waiting workers when a job is pushed, over a second
            connection that listens; "poll" makes do without, as behind pgbouncer's transaction mode.
        prepared_statements: False on PostgreSQL behind a pooler that hands connections round.
        synchronous: On SQLite, "full" makes each push wait for the disk, so that it survives a power cut;
            "normal" survives a crash of the process, but a power cut may take the last pushes.
        busy_timeout: On SQLite, how long to wait while another process holds the write lock.
        connect_args: Passed to the driver's connect, such as TLS settings.

    Durations are seconds or timedeltas.

    Raises:
        InvalidValue: A setting is outside what it may be or is for another database, or the database
            or its driver is not supported.
    """

    def __init__(
        self,
        url_or_engine: str | sa.URL | sa.Engine | AsyncEngine,
        *,
        table: str = "jobs",
        failed_table: str | None = None,
        visibility_timeout: Seconds = timedelta(minutes=15),
        timeout: Seconds = 10.0,
        wakeup: Wakeup | None = None,
        prepared_statements: bool | None = None,
        synchronous: Synchronous | None = None,
        busy_timeout: Seconds | None = None,
        connect_args: Mapping[str, Any] | None = None,
        _clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.visibility_timeout = to_seconds(visibility_timeout, "visibility_timeout", positive=True)
        options = Options(timeout, wakeup, prepared_statements, synchronous, busy_timeout, connect_args)
        url = to_url(url_or_engine)
        self._database = to_database(url, options)
        self.turns_at_once = 2 if self._database.overlaps else 1
        failed_table = f"failed_{table}" if failed_table is None else failed_table
        self._schema = Schema(table, failed_table, self._database.dialect)
        self._spelled = cache(partial(build, self._schema, self._database.statements, server_clock=_clock is None))
        self._sql = self._spelled(self._database.placeholders)
        self._looking = build_looking(
            self._schema,
            self._database.looking,
            self._database.statements,
            self._database.placeholders,
            server_clock=_clock is None,
        )
        self._engines = Engines(url_or_engine, self._database, options)
        self._clock: Clock = SystemClock() if _clock is None else _clock
        self._now = partial(_micros, self._clock)
        self._bell = Bell()
        self._failed_jobs = SQLFailedJobs(self)
        self._make_store = partial(Store, self._database, self._schema, self._sql)
        channel = waking.channel(self._database, table, options.wakeup)
        self._chores = QueueChores(self._sql, table, channel, self._now)
        self._operations = Operations(
            self._database, self._sql, self._clock, self._now, self.visibility_timeout, self._chores, self._bell
        )
        self._thread = OwnerThread(self._make_store, f"lagoqueue-sql {table}", self._chores)
        self._ear = waking.LazyEar(self._database, channel, self._bell)
        patience = min(to_seconds(timeout, "timeout"), LOOKING)
        aside = to_database(url, msgspec.structs.replace(options, timeout=patience))
        self._looker = OwnerThread(partial(Store, aside, self._schema, self._sql), f"lagoqueue-sql {table} looking")
        weakref.finalize(self, _let_go, self._thread, self._looker, self._ear)

    @property
    def metadata(self) -> sa.MetaData:
        """The tables as SQLAlchemy knows them."""
        return self._schema.metadata

    @property
    def failed_jobs(self) -> SQLFailedJobs:
        """Where `fail` puts jobs, in the same database; its `retry` brings them back."""
        return self._failed_jobs

    async def setup(self) -> None:
        """Make the tables, or bring older ones up to date. Harmless when repeated, and when many do it at once.

        Raises:
            SchemaTooNew: The tables were made by a newer version.
            DriverError: The database cannot be used or is too old, or another program's table is in the way.
        """
        await self._thread.run(Store.setup)

    def setup_sync(self) -> None:
        """Do as `setup` does, from any thread, and block it meanwhile."""
        self._thread.run_blocking(Store.setup)

    def print_ddl(self, file: TextIO | None = None) -> None:
        """Print what `setup` would run on an empty database, without connecting to one.

        Args:
            file: Where to; by default standard output.
        """
        print(ddl.script(self._schema, self._database.dialect), end="", file=file)

    # --- Push -----------------------------------------------------------------------------------------

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return await self._thread.run_together(self._operations.pusher.push_together, _push(job, delay, exist_ok))

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Push several jobs in one transaction, all or none, and return how many were stored.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given. Nothing was pushed.
            OutcomeUnknown: The connection was lost; push again with `exist_ok`.
        """
        return await self._thread.run(self._push_many(jobs, delay, exist_ok))

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop, and block it until that is done; see `push`."""
        return self._thread.run_together_blocking(self._operations.pusher.push_together, _push(job, delay, exist_ok))

    def push_many_sync(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Push several jobs from any thread, all or none; see `push_many`."""
        return self._thread.run_blocking(self._push_many(jobs, delay, exist_ok))

    def _push_many(self, jobs: Sequence[Job], delay: float | None, exist_ok: bool) -> Callable[[Store], int]:
        wait = checked(jobs, delay)
        return partial(self._operations.pusher.push_many, jobs=jobs, delay=wait, exist_ok=exist_ok)

    @overload
    def within(self, connection: AsyncHandle) -> Within: ...
    @overload
    def within(self, connection: SyncHandle) -> SyncWithin: ...
    def within(self, connection: AsyncHandle | SyncHandle) -> Within | SyncWithin:
        """Return a producer whose jobs are stored in your transaction: they exist once you commit, or never.

        ::

            await dispatch(queue.within(session), SendWelcomeEmail(user_id=42))
            await session.commit()

        Args:
            connection: A connection to the queue's own database: a SQLAlchemy AsyncSession or
                AsyncConnection, or a psycopg AsyncConnection, for `dispatch`; a SQLAlchemy Session or
                Connection, one of psycopg, psycopg2, sqlite3, PyMySQL or mysqlclient, or
                `django.db.connection`, for `dispatch_sync`.

        Raises:
            InvalidValue: It is of no kind that is known, or of another database than the queue.
        """
        return bind(self, connection)

    def _wake(self) -> None:
        """From any thread: jobs came to wait that were not pushed by the queue's own; wake who waits for them."""
        self._operations.outlook.distrust()
        self._bell.ring()
        self._chores.notify()
        self._see_to_chores()

    def _see_to_chores(self) -> None:
        """From any thread: something was added to the chores; poke the queue's own if it would come too late."""
        if self._chores.comes_late():
            self._thread.poke()

    # --- Pop ------------------------------------------------------------------------------------------

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        return (await self.pop_many(1, wait, labels=labels))[0]

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        """Reserve up to `limit` due jobs in `pop`'s order, in one transaction; wait only for the first.

        Raises:
            QueueEmpty: None came due within `wait` seconds.
        """
        at_least_one(limit, "limit")
        wait = to_seconds(wait, "wait")
        labels = tuple(self.labels if labels is None else labels)
        clock = self._clock.monotonic
        deadline = clock() + wait
        self._ear.open()
        with self._bell.listening() as listener:  # from before the first look, so that no push slips through
            found = await self._claim(labels, limit, thorough=wait == 0)
            looked = found.looked
            while not found.jobs:
                if clock() >= deadline:
                    if looked:
                        raise QueueEmpty(f"no job came due within {wait:g} seconds")
                    found, looked = await self._look(labels, limit), True  # not thorough: a sweep has its own time
                    continue
                poll = clock() + self._database.poll * random.uniform(1.0, 1.25)  # noqa: S311 - not all in step
                if await listener.wait(self._clock, min(poll, deadline, found.again)):
                    found = await self._claim(labels, limit)
                elif clock() < deadline or found.again <= deadline:
                    found = await self._look(labels, limit)
                looked = looked or found.looked
        return found.jobs

    async def _look(self, labels: Sequence[str], limit: int) -> Claim:
        """Claim only when there is something to claim, so that waiting takes no lock."""
        return await self._thread.run(partial(self._operations.look, labels=labels)) or await self._claim(labels, limit)

    async def _claim(self, labels: Sequence[str], limit: int, *, thorough: bool = False) -> Claim:
        claim = partial(self._operations.claim, labels=labels, limit=limit, thorough=thorough)
        return await self._thread.run(claim, undo=self._operations.give_back)

    # --- Settle ---------------------------------------------------------------------------------------

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        """End several reservations in one transaction, each as its settlement says.

        Returns:
            The jobs whose reservation was lost; nothing was changed for those.
        """
        if not settlements:
            return []
        return [each.job for each in await self._thread.run(partial(self._operations.settle, settlements=settlements))]

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        """Settle and reserve in one transaction: one statement on PostgreSQL when all jobs are acked."""
        at_least_one(limit, "limit")
        labels = tuple(self.labels if labels is None else labels)
        turn = partial(self._operations.turn, settlements=settlements, labels=labels, limit=limit)
        turned = await self._thread.run(turn, undo=self._operations.give_turn_back)
        return Turn(turned.found.jobs, [each.job for each in turned.lost])

    async def ack(self, job: Job) -> None:
        await self._settle_one(Settlement(job, "ack"))

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        await self._settle_one(Settlement(job, "nack", to_seconds(retry_after, "retry_after")))

    async def release(self, job: Job, delay: float = 0.0) -> None:
        """Return a reserved job without spending its attempt, due again in `delay` seconds."""
        await self._settle_one(Settlement(job, "release", to_seconds(delay, "delay")))

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        """Move a reserved job to `failed_jobs`, in one transaction."""
        await self._settle_one(Settlement(job, "fail", failure=failure))

    async def _settle_one(self, settlement: Settlement) -> None:
        if await self.settle([settlement]):
            raise ReservationLost(settlement.job.id)

    @overload
    def completing(self, job: Job) -> Completing: ...
    @overload
    def completing(self, job: Job, session: AsyncTarget) -> AbstractAsyncContextManager[AsyncTarget]: ...
    @overload
    def completing(self, job: Job, session: SyncTarget) -> AbstractContextManager[SyncTarget]: ...
    def completing(self, job: Job, session: Any = None) -> Any:
        """Return a block whose writes and the end of the job are one transaction: both happen, or neither.

        ::

            async with queue.completing(current_job()) as connection:
                await connection.execute(sa.insert(emails).values(user_id=payload.user_id))

        The job is taken off the queue, and all is committed, as the block ends. When it raises, all is
        rolled back and the job goes on as any other.

        Args:
            job: The job that the handler runs.
            session: A SQLAlchemy session or connection of yours to use, commit and roll back; without
                one the block gets a connection: with `async with` an AsyncConnection, from your
                AsyncEngine if you gave one; with `with`, in a handler that is not async, a Connection.

        Raises:
            ReservationLost: The job is no longer ours, when the block begins or when it ends; nothing was changed.
            LagoqueueError: The block itself has committed or rolled back.
            InvalidValue: A package is missing, or `session` is none.
        """
        return Completing(self, job) if session is None else completing_with(self, job, session)

    async def extend(self, job: Job) -> None:
        """Let the reservation run for a full visibility timeout from now."""
        if await self._thread.run(partial(self._operations.extend, jobs=[job])):
            raise ReservationLost(job.id)

    def keeper(self, info: WorkerInfo | None = None) -> Keeper:
        """Return what says that a worker lives, from a thread of its own, over a connection of its own."""
        keeper = SQLKeeper(
            self._make_store(),
            self._database,
            self._sql,
            uuid.uuid4().hex,
            jobs_table=self._schema.jobs.name,
            info=info,
            now=self._now,
            visibility_timeout=self.visibility_timeout,
            freed=self._freed,
            closed=self._operations.keepers.remove,
        )
        self._operations.keepers.append(keeper)
        return keeper

    def _freed(self, jobs: Sequence[Row]) -> None:
        """In a keeper's thread: jobs of a dead worker wait again."""
        if jobs:
            self._operations.outlook.distrust()
            self._bell.ring()

    # --- Looking --------------------------------------------------------------------------------------

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        labels = self.labels if labels is None else labels
        return await self._run(
            lambda link, now: sum(link.rows(self._sql.size, {"queue": label})[0][0] for label in labels), Mode.READ
        )

    # --- Views and lifecycle --------------------------------------------------------------------------

    def named(self, *labels: str) -> NamedSQLQueue:
        return NamedSQLQueue(self, labels)

    async def close(self) -> None:
        """End the thread and close the connections. Waiting pops, and every later call, raise `QueueClosed`."""
        self._stop()
        await self._thread.close()
        await self._looker.close()
        await self._engines.close()

    def _stop(self) -> None:
        self._ear.stop()
        self._looker.stop()
        self._thread.stop()
        self._bell.ring()

    # --- In the thread --------------------------------------------------------------------------------

    async def _aside(self, function: Callable[[Link], T]) -> T:
        """Run a function that only reads on the connection of those who look, so that it holds no worker up.

        Raises:
            DriverError: It took longer than `LOOKING`, or cannot be done.
        """
        return await self._looker.run(lambda store: store.run(function, Mode.READ))

    async def _run(self, function: Callable[[Link, int], T], mode: Mode = Mode.ATOMIC) -> T:
        """Run `function` in a transaction, with this process's time for stores without a clock."""
        return await self._thread.run(lambda store: store.run(lambda link: function(link, self._now()), mode))


class NamedSQLQueue(NamedQueue):
    """A named view of a `SQLQueue`, which can push from any thread as well."""

    queue: SQLQueue

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        return self.queue.push_sync(self._relabelled(job), delay=delay, exist_ok=exist_ok)

    def push_many_sync(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Push several jobs from any thread, all or none; see `SQLQueue.push_many`."""
        return self.queue.push_many_sync([self._relabelled(job) for job in jobs], delay=delay, exist_ok=exist_ok)

    @overload
    def within(self, connection: AsyncHandle) -> Within: ...
    @overload
    def within(self, connection: SyncHandle) -> SyncWithin: ...
    def within(self, connection: AsyncHandle | SyncHandle) -> Within | SyncWithin:
        """Return a producer under the first label whose jobs are stored in your transaction; see `SQLQueue.within`."""
        return bind(self.queue, connection, self.labels)

    @overload
    def completing(self, job: Job) -> Completing: ...
    @overload
    def completing(self, job: Job, session: AsyncTarget) -> AbstractAsyncContextManager[AsyncTarget]: ...
    @overload
    def completing(self, job: Job, session: SyncTarget) -> AbstractContextManager[SyncTarget]: ...
    def completing(self, job: Job, session: Any = None) -> Any:
        """Return a block whose writes and the end of the job are one transaction; see `SQLQueue.completing`."""
        return self.queue.completing(job, session)


def _push(job: Job, delay: float | None, exist_ok: bool) -> Push:
    return Push(row_to_push(job, checked((job,), delay)), exist_ok)


def _micros(clock: Clock) -> int:
    return int(clock.time() * 1_000_000)


def _let_go(thread: OwnerThread, looker: OwnerThread, ear: waking.LazyEar) -> None:
    thread.stop()
    looker.stop()
    ear.stop()
