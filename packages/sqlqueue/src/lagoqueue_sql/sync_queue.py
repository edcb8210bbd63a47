"""`SyncSQLQueue`: for programs without an event loop that push jobs, such as Flask and Django applications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from lagoqueue._time import Seconds
from lagoqueue.job import Job
from lagoqueue.observer import Observer
from lagoqueue_sql.connecting import Wakeup
from lagoqueue_sql.dialects.sqlite import Synchronous
from lagoqueue_sql.queue import NamedSQLQueue, SQLQueue
from lagoqueue_sql.within import SyncHandle, SyncWithin


class _SyncProducer:
    """What a queue and its named views share: pushing, by way of a `SQLQueue` or a view of one."""

    def __init__(self, queue: SQLQueue | NamedSQLQueue) -> None:
        self._queue = queue

    @property
    def labels(self) -> tuple[str, ...]:
        """The first is what `dispatch_sync` gives a job."""
        return self._queue.labels

    @property
    def observers(self) -> list[Observer]:
        """Told of pushes made by `dispatch_sync`; shared by all views of a queue."""
        return self._queue.observers

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Store a job; see `Queue.push`."""
        return self._queue.push_sync(job, delay=delay, exist_ok=exist_ok)

    def push_many_sync(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Store several jobs, all or none; see `SQLQueue.push_many`."""
        return self._queue.push_many_sync(jobs, delay=delay, exist_ok=exist_ok)

    def within(self, connection: SyncHandle) -> SyncWithin:
        """Return a producer that pushes in a transaction of yours; see `SQLQueue.within`."""
        return self._queue.within(connection)


class NamedSyncSQLQueue(_SyncProducer):
    """A named view of a `SyncSQLQueue`."""


class SyncSQLQueue(_SyncProducer):
    """A `SQLQueue` to push to without an event loop, from any thread.

    ::

        queue = SyncSQLQueue("postgresql://user@host/database")
        queue.setup()
        dispatch_sync(queue, SendWelcomeEmail(user_id=42))

    It connects when it is first used; a forked child opens its own connection. Workers pop from a
    `SQLQueue` on the same tables.

    Args:
        url_or_engine: As for `SQLQueue`, and so are the others.
        table: Table of the live jobs.
        failed_table: Table of the failed jobs.
        timeout: How long one call may wait for a server.
        wakeup: "notify" or "poll", on PostgreSQL.
        prepared_statements: False on PostgreSQL behind a pooler.
        synchronous: On SQLite, "full" or "normal".
        busy_timeout: On SQLite, how long to wait for the write lock.
        connect_args: Passed to the driver's connect.

    Raises:
        InvalidValue: A setting is outside what it may be or is for another database, or the database
            or its driver is not supported.
    """

    _queue: SQLQueue

    def __init__(
        self,
        url_or_engine: str | sa.URL | sa.Engine | AsyncEngine,
        *,
        table: str = "jobs",
        failed_table: str | None = None,
        timeout: Seconds = 10.0,
        wakeup: Wakeup | None = None,
        prepared_statements: bool | None = None,
        synchronous: Synchronous | None = None,
        busy_timeout: Seconds | None = None,
        connect_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            SQLQueue(
                url_or_engine,
                table=table,
                failed_table=failed_table,
                timeout=timeout,
                wakeup=wakeup,
                prepared_statements=prepared_statements,
                synchronous=synchronous,
                busy_timeout=busy_timeout,
                connect_args=connect_args,
            )
        )

    @property
    def metadata(self) -> sa.MetaData:
        """The tables as SQLAlchemy knows them."""
        return self._queue.metadata

    def setup(self) -> None:
        """Make the tables, or bring older ones up to date; see `SQLQueue.setup`."""
        self._queue.setup_sync()

    def named(self, *labels: str) -> NamedSyncSQLQueue:
        """Return a view of this queue that pushes to the first label."""
        return NamedSyncSQLQueue(self._queue.named(*labels))

    def close(self) -> None:
        """Close the connection. Every later call raises `QueueClosed`."""
        self._queue._stop()
        self._queue._thread.close_blocking()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
