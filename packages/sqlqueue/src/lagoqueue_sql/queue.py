"""`SQLQueue`: the queue's operations, each one transaction on the thread that owns the connection."""

from __future__ import annotations

import random
import uuid
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from lagoqueue._time import Clock, Seconds, SystemClock, at_least_one, to_seconds
from lagoqueue.errors import InvalidValue, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job, check_job
from lagoqueue.queue import Keeper, NamedQueue, Queue, Settlement
from lagoqueue_sql import versioning
from lagoqueue_sql.claim import Claim, Sweep, claim, earliest
from lagoqueue_sql.dialects.sqlite import SQLite, Synchronous
from lagoqueue_sql.dialects.sqlite_statements import SQLiteStatements
from lagoqueue_sql.failed import SQLFailedJobs
from lagoqueue_sql.keeper import SQLKeeper
from lagoqueue_sql.push import push
from lagoqueue_sql.rows import duration
from lagoqueue_sql.schema import Schema
from lagoqueue_sql.settle import extend, settle
from lagoqueue_sql.statements import Statements, build
from lagoqueue_sql.store import Store
from lagoqueue_sql.thread import OwnerThread
from lagoqueue_sql.waiting import Bell

T = TypeVar("T")

POLL = 0.05
"""Seconds between two looks for what other processes pushed, while a pop waits."""


class SQLQueue(Queue):
    """A durable queue in a SQL database; this version supports SQLite files.

    ::

        queue = SQLQueue("sqlite:///jobs.db")
        await queue.setup()

    Several processes may use one file at once. Safe from threads and several event loops; a forked
    child opens its own connection. It connects when it is first used.

    Args:
        url_or_engine: A SQLAlchemy URL, or an Engine, of which the URL is used.
        table: Table of the live jobs.
        failed_table: Table of the failed jobs; `failed_` and the other's name unless given.
        visibility_timeout: How long a reservation lasts unless it is extended; a worker extends
            its own for as long as it lives.
        synchronous: "full" makes each push wait for the disk, so that it survives a power cut;
            "normal" survives a crash of the process, but a power cut may take the last pushes.
        busy_timeout: How long to wait while another process holds the write lock.

    Raises:
        InvalidValue: A setting is outside what it may be, or the database is not supported.
    """

    def __init__(
        self,
        url_or_engine: str | sa.URL | sa.Engine,
        *,
        table: str = "jobs",
        failed_table: str | None = None,
        visibility_timeout: Seconds = timedelta(minutes=15),
        synchronous: Synchronous = "full",
        busy_timeout: Seconds = 5.0,
        _clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.visibility_timeout = to_seconds(visibility_timeout, "visibility_timeout", positive=True)
        self._database = SQLite(
            _url(url_or_engine), synchronous=synchronous, busy_timeout=to_seconds(busy_timeout, "busy_timeout")
        )
        dialect = self._database.engine.dialect
        self._schema = Schema(table, f"failed_{table}" if failed_table is None else failed_table, dialect)
        self._sql = build(self._schema, SQLiteStatements())
        self._clock: Clock = SystemClock() if _clock is None else _clock
        self._sweep = Sweep(duration(self.visibility_timeout))
        self._bell = Bell()
        self._failed_jobs = SQLFailedJobs(self)
        self._make_store = partial(Store, self._database, self._schema)
        self._thread = OwnerThread(self._make_store, f"lagoqueue-sql {table}")
        weakref.finalize(self, self._thread.stop)

    @property
    def metadata(self) -> sa.MetaData:
        """The tables as SQLAlchemy knows them."""
        return self._schema.metadata

    @property
    def failed_jobs(self) -> SQLFailedJobs:
        """Where `fail` puts jobs, in the same database; its `retry` brings them back."""
        return self._failed_jobs

    async def setup(self) -> None:
        """Make the tables unless they are there. Harmless when repeated, and when many processes do it at once.

        Raises:
            SchemaTooNew: The tables were made by a newer version.
            DriverError: The file cannot be used, SQLite is too old, or another program's table is in the way.
        """
        await self._thread.run(lambda connection: versioning.setup(connection, self._schema), checked=False)

    # --- Push -----------------------------------------------------------------------------------------

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return await self.push_many([job], delay=delay, exist_ok=exist_ok) == 1

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Push several jobs in one transaction, all or none, and return how many were stored.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given. Nothing was pushed.
        """
        stored = await self._write(self._push(jobs, delay, exist_ok))
        self._bell.ring()
        return stored

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop, and block it until that is done; see `push`."""
        function = self._push([job], delay, exist_ok)
        stored = self._thread.run_blocking(lambda connection: function(connection, self._sql, self._now()))
        self._bell.ring()
        return stored == 1

    def _push(
        self, jobs: Sequence[Job], delay: float | None, exist_ok: bool
    ) -> Callable[[sa.Connection, Statements, int], int]:
        for job in jobs:
            check_job(job)
        if delay is not None:
            delay = to_seconds(delay, "delay")
        return lambda connection, sql, now: push(connection, sql, jobs, now=now, delay=delay, exist_ok=exist_ok)

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
        labels = self.labels if labels is None else labels
        deadline = self._clock.monotonic() + wait
        with self._bell.listening() as listener:  # from before the first look, so that no push slips through
            found = await self._claim(labels, limit)
            while not found.jobs:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise QueueEmpty(f"no job came due within {wait:g} seconds")
                rang = await listener.wait(self._clock, min(left, self._until_next_look(found.look_again)))
                found = await (self._claim(labels, limit) if rang else self._look(labels, limit))
        return found.jobs

    def _until_next_look(self, look_again: int | None) -> float:
        pause = POLL * random.uniform(0.75, 1.25)  # noqa: S311 - so that idle processes do not look in step
        if look_again is not None:
            pause = min(pause, max(0.0, (look_again - self._now()) / 1_000_000))
        return pause

    async def _look(self, labels: Sequence[str], limit: int) -> Claim:
        """Claim only when there is something to claim, so that waiting takes no write lock."""
        look_again = await self._read(lambda connection, sql: earliest(connection, sql, labels))
        if look_again is not None and look_again <= self._now():
            return await self._claim(labels, limit)
        return Claim([], look_again)

    async def _claim(self, labels: Sequence[str], limit: int) -> Claim:
        receipt = uuid.uuid4().hex

        def reserve(connection: sa.Connection) -> Claim:
            now = self._now()
            until = now + duration(self.visibility_timeout)
            return claim(connection, self._sql, labels, limit, now=now, until=until, receipt=receipt, sweep=self._sweep)

        return await self._thread.run(reserve, undo=self._give_back)

    def _give_back(self, connection: sa.Connection, found: Claim) -> None:
        """Release what a cancelled pop had reserved, as if it had never been."""
        settle(connection, self._sql, [Settlement(job, "release") for job in found.jobs], now=self._now())
        self._bell.ring()

    # --- Settle ---------------------------------------------------------------------------------------

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        """End several reservations in one transaction, each as its settlement says.

        Returns:
            The jobs whose reservation was lost; nothing was changed for those.
        """
        if not settlements:
            return []
        lost = await self._write(lambda connection, sql, now: settle(connection, sql, settlements, now=now))
        if any(settlement.action in ("nack", "release") for settlement in settlements):
            self._bell.ring()
        return lost

    async def ack(self, job: Job) -> None:
        await self._settle(Settlement(job, "ack"))

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        await self._settle(Settlement(job, "nack", to_seconds(retry_after, "retry_after")))

    async def release(self, job: Job, delay: float = 0.0) -> None:
        """Return a reserved job without spending its attempt, due again in `delay` seconds."""
        await self._settle(Settlement(job, "release", to_seconds(delay, "delay")))

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        """Move a reserved job to `failed_jobs`, in one transaction."""
        await self._settle(Settlement(job, "fail", failure=failure))

    async def _settle(self, settlement: Settlement) -> None:
        if await self.settle([settlement]):
            raise ReservationLost(settlement.job.id)

    async def extend(self, job: Job) -> None:
        """Let the reservation run for a full visibility timeout from now."""
        if await self._write(lambda connection, sql, now: extend(connection, sql, [job], until=self._until())):
            raise ReservationLost(job.id)

    def keeper(self) -> Keeper:
        """Return what extends reservations from a thread of its own, over a connection of its own."""
        return SQLKeeper(self._make_store(), self._sql, self._until, self.visibility_timeout)

    # --- Looking --------------------------------------------------------------------------------------

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        labels = self.labels if labels is None else labels
        return await self._read(
            lambda connection, sql: sum(connection.execute(sql.size, {"queue": label}).scalar_one() for label in labels)
        )

    # --- Views and lifecycle --------------------------------------------------------------------------

    def named(self, *labels: str) -> NamedSQLQueue:
        return NamedSQLQueue(self, labels)

    async def close(self) -> None:
        """End the thread and close the connection. Waiting pops, and every later call, raise `QueueClosed`."""
        self._thread.stop()
        self._bell.ring()
        await self._thread.close()

    # --- In the thread --------------------------------------------------------------------------------

    def _now(self) -> int:
        """Return the store's time in microseconds; SQLite has no clock but this process's."""
        return int(self._clock.time() * 1_000_000)

    def _until(self) -> int:
        return self._now() + duration(self.visibility_timeout)

    async def _write(self, function: Callable[[sa.Connection, Statements, int], T]) -> T:
        """Run `function` in a writing transaction, with the time at which that got its lock."""
        return await self._thread.run(lambda connection: function(connection, self._sql, self._now()))

    async def _read(self, function: Callable[[sa.Connection, Statements], T]) -> T:
        return await self._thread.run(lambda connection: function(connection, self._sql), write=False)


class NamedSQLQueue(NamedQueue):
    """A named view of a `SQLQueue`, which can push from any thread as well."""

    queue: SQLQueue

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        return self.queue.push_sync(self._relabelled(job), delay=delay, exist_ok=exist_ok)


def _url(url_or_engine: str | sa.URL | sa.Engine) -> sa.URL:
    """Return the URL of a supported database. No message repeats one: it may hold a password."""
    if isinstance(url_or_engine, sa.Engine):
        url = url_or_engine.url
    elif isinstance(url_or_engine, (str, sa.URL)):
        try:
            url = sa.make_url(url_or_engine)
        except (ArgumentError, ValueError):
            raise InvalidValue("SQLQueue needs a SQLAlchemy URL such as sqlite:///jobs.db; this text is none") from None
    else:
        raise InvalidValue(
            "SQLQueue needs a SQLAlchemy URL or an Engine, "
            f"not {type(url_or_engine).__name__}; of an AsyncEngine pass its .url"
        )
    if url.get_backend_name() != "sqlite":
        raise InvalidValue(
            f"this version of lagoqueue-sql supports SQLite (sqlite:///jobs.db), not {url.get_backend_name()!r}"
        )
    return url
