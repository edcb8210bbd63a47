"""Right uses of the public API. Never run: mypy and pyright must find nothing wrong here."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict, assert_type

import msgspec
import psycopg
import sqlalchemy as sa
from django.db import connection as django_connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from lagoqueue import (
    Handlers,
    Job,
    Keeper,
    MemoryQueue,
    Observer,
    Producer,
    Queue,
    QueueEmpty,
    Settlement,
    SyncProducer,
    Worker,
    current_job,
    dispatch,
    dispatch_after,
    dispatch_many,
    dispatch_sync,
    exponential,
    job_name,
    new_id,
    run_until_signal,
)
from lagoqueue.monitor import (
    DetailedInspector,
    Durations,
    FailedJob,
    FailedJobs,
    HealthCheck,
    History,
    Inspector,
    JobView,
    MemoryFailedJobs,
    MemoryInspector,
    Sampler,
    Stats,
    StatsView,
)
from lagoqueue_sql import SQLFailedJobs, SQLQueue, SyncSQLQueue


@dataclass(frozen=True)
class SendWelcomeEmail:
    user_id: int


class Resize(msgspec.Struct):
    width: int


class Reminder(TypedDict):
    text: str


queue = MemoryQueue(visibility_timeout=timedelta(minutes=5))
worker = Worker(
    queue.named("critical", "default"),
    max_retry=5,
    backoff=exponential(base=1, cap=timedelta(hours=1), jitter=0.1),
    poll=timedelta(seconds=1),
    concurrency=10,
    prefetch=20,
    grace=30,
    on_failed=lambda job, error: print(job.id, error),
    observers=[Observer()],
    logger=logging.getLogger("jobs"),
)


@worker.handle(SendWelcomeEmail)
async def send(payload: SendWelcomeEmail) -> None:
    assert_type(payload.user_id, int)
    assert_type(current_job(), Job)


@worker.handle(Resize, timeout=5.0, max_retry=1, backoff=timedelta(seconds=2))
async def resize(payload: Resize) -> None:
    assert_type(payload.width, int)


def sync_handler(payload: Reminder) -> None: ...


worker.handle(Reminder, sync_handler)
worker.handle(Reminder, lambda payload: payload["text"])

handlers = Handlers()


@handlers.handle(SendWelcomeEmail)
def shared(payload: SendWelcomeEmail) -> str:
    return "a handler's result is ignored"


Worker(queue, handlers=handlers).max_retry(3).backoff(5).poll(1.0).on_failed(lambda job, error: None)


async def log_failure(job: Job, error: BaseException) -> None: ...


Worker(queue, on_failed=log_failure, backoff=lambda job: job.attempts * 2.0)


async def dispatching() -> None:
    assert_type(await dispatch(queue, SendWelcomeEmail(1), delay=5), Job)
    await dispatch(queue.named("mail"), Resize(1), at=datetime.now(UTC), priority=3, headers={"a": "b"}, id=new_id())
    await dispatch_after(queue, Resize(1), timedelta(minutes=1))
    await dispatch(queue, Reminder(text="x"), payload_type=Reminder, exist_ok=True)
    assert_type(await dispatch_many(queue, [Resize(1), SendWelcomeEmail(2)]), list[Job])
    assert_type(dispatch_sync(queue, Resize(1)), Job)
    dispatch_sync(queue.named("mail"), Resize(1))
    assert_type(job_name(Resize), str)


async def driving(any_queue: Queue) -> None:
    try:
        job = await any_queue.pop(1.0)
    except QueueEmpty:
        return
    assert_type(job, Job)
    assert_type(job.receipt, str | None)
    assert_type(await any_queue.settle([Settlement(job, "nack", 5.0)]), list[Job])
    assert_type(await any_queue.pop_many(10), list[Job])
    assert_type(await any_queue.size(), int)
    assert_type(any_queue.keeper(), Keeper | None)
    assert_type(any_queue.failed_jobs, FailedJobs | None)


async def on_sqlite() -> None:
    async with SQLQueue("sqlite:///jobs.db", table="jobs", visibility_timeout=60) as sql:
        await sql.setup()
        await dispatch(sql, Resize(1))
        await dispatch(sql.named("bulk"), Resize(1))
        assert_type(sql.failed_jobs, SQLFailedJobs)
        assert_type(await sql.failed_jobs.list(), list[FailedJob])
        await run_until_signal(Worker(sql), Worker(sql.named("bulk")))


async def in_transactions(
    sql: SQLQueue,
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
    connection: AsyncConnection,
    driver: psycopg.AsyncConnection[tuple[object, ...]],
) -> None:
    await dispatch(sql.within(session), Resize(1), delay=5)
    await dispatch(sql.named("mail").within(scoped), Resize(1))
    await dispatch_many(sql.within(connection), [Resize(1)])
    await dispatch(sql.within(driver), Resize(1))
    assert_type(await sql.within(session).push_many([Job("1", "Resize", b"")]), int)
    async with sql.completing(current_job()) as own:
        held: AsyncConnection = own
        await held.execute(sa.text("SELECT 1"))
    async with sql.named("mail").completing(current_job(), session) as same:
        assert_type(same, AsyncSession)


def in_blocking_transactions(
    sql: SQLQueue,
    session: Session,
    scoped: scoped_session[Session],
    connection: sa.Connection,
    postgresql: psycopg.Connection,
    sqlite: sqlite3.Connection,
) -> None:
    dispatch_sync(sql.within(session), Resize(1))
    dispatch_sync(sql.within(scoped), Resize(1))
    dispatch_sync(sql.named("mail").within(connection), Resize(1))
    dispatch_sync(sql.within(postgresql), Resize(1))
    dispatch_sync(sql.within(sqlite), Resize(1))
    dispatch_sync(sql.within(django_connection), Resize(1))
    assert_type(sql.within(session).push_sync(Job("1", "Resize", b"")), bool)
    with sql.completing(current_job()) as own:
        assert_type(own, sa.Connection)
    with sql.completing(current_job(), session) as same:
        assert_type(same, Session)
    with SyncSQLQueue("postgresql://host/database", wakeup="poll") as pushing:
        pushing.setup()
        dispatch_sync(pushing, Resize(1))
        dispatch_sync(pushing.named("mail"), Resize(1))
        dispatch_sync(pushing.named("mail").within(session), Resize(1))


async def monitoring() -> None:
    stats = Stats()
    stats.observe(worker)
    stats.on_pushed("default")
    failed = MemoryFailedJobs(queue.push)
    inspector: Inspector = MemoryInspector(stats, failed, queue=queue)
    assert_type(await inspector.stats(), StatsView)
    assert_type(await inspector.failed(1), list[JobView])
    detailed: DetailedInspector = MemoryInspector(stats, failed, queue=queue, history=History())
    assert_type([row.run.percentile(0.95) for row in await detailed.activity()], list[float | None])
    assert_type(sum((point.wait for point in await detailed.history()), Durations()), Durations)
    assert_type(await detailed.health(), list[HealthCheck])
    async with Sampler(inspector, interval=5, window=timedelta(minutes=1)) as sampler:
        assert_type(sampler.rate("default"), float)


producer: Producer = queue
sync_producer: SyncProducer = queue.named("mail")
handler: Callable[[SendWelcomeEmail], object] = send
