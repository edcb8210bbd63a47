"""A handler's writes and the end of its job are one transaction: both are there, or neither."""

from __future__ import annotations

import asyncio
import builtins
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from lagoqueue import (
    HandlerTimeout,
    InvalidValue,
    Job,
    LagoqueueError,
    QueueEmpty,
    ReservationLost,
    Worker,
    current_job,
    dispatch,
)
from lagoqueue_sql import SQLQueue
from tests.core.recorder import Recorder
from tests.sqlqueue.payloads import Effect

A = Job("a", "Example", b"{}")
INSERT = sa.text("INSERT INTO effects (number) VALUES (:number)")

DATABASES = ["url", "postgres_url", "mariadb_url"]


@pytest.fixture(params=DATABASES, ids=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[SQLQueue]:
    """A queue, and beside it a table for the effects."""
    await asyncio.to_thread(run_sql, database_url, "CREATE TABLE effects (number INTEGER NOT NULL)")
    async with SQLQueue(database_url, synchronous="normal" if database_url.startswith("sqlite") else None) as queue:
        await queue.setup()
        yield queue


def run_sql(url: str, statement: str) -> list[Any]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return [row[0] for row in result] if result.returns_rows else []


async def effects(queue: SQLQueue) -> list[int]:
    url = queue._engines._given
    return await asyncio.to_thread(run_sql, str(url), "SELECT number FROM effects ORDER BY number")


async def live(queue: SQLQueue) -> int:
    """How many jobs are in the queue, waiting or reserved."""
    (count,) = await asyncio.to_thread(run_sql, str(queue._engines._given), "SELECT count(*) FROM jobs")
    return int(count)


async def reserved(queue: SQLQueue) -> Job:
    await queue.push(A)
    return await queue.pop()


# --- Ways to complete -------------------------------------------------------------------------------

Body = Callable[[Any], Awaitable[None]]
"""Runs statements in the block, by the `execute` that it is given."""


async def in_coroutine(queue: SQLQueue, job: Job, body: Body) -> None:
    async with queue.completing(job) as connection:
        await body(connection.execute)


async def in_thread(queue: SQLQueue, job: Job, body: Body) -> None:
    def run() -> None:
        with queue.completing(job) as connection:

            async def execute(*arguments: Any) -> None:
                connection.execute(*arguments)

            asyncio.run(body(execute))  # type: ignore[arg-type]

    await asyncio.to_thread(run)


async def in_own_session(queue: SQLQueue, job: Job, body: Body) -> None:
    engine = create_async_engine(async_url(queue), poolclass=sa.NullPool)
    async with AsyncSession(engine) as session, queue.completing(job, session) as same:
        assert same is session
        await body(session.execute)


async def in_own_scoped_session(queue: SQLQueue, job: Job, body: Body) -> None:
    session = async_scoped_session(
        async_sessionmaker(create_async_engine(async_url(queue), poolclass=sa.NullPool)), scopefunc=lambda: 1
    )
    async with queue.completing(job, session):
        await body(session.execute)
    await session.remove()


async def in_own_blocking_session(queue: SQLQueue, job: Job, body: Body) -> None:
    def run() -> None:
        with Session(sa.create_engine(str(queue._engines._given), poolclass=sa.NullPool)) as session:

            async def execute(*arguments: Any) -> None:
                session.execute(*arguments)

            with queue.completing(job, session) as same:
                assert same is session
                asyncio.run(body(execute))  # type: ignore[arg-type]

    await asyncio.to_thread(run)


def async_url(queue: SQLQueue) -> sa.URL:
    url = sa.make_url(str(queue._engines._given))
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}
    return url.set(drivername=drivers[url.get_backend_name()])


WAYS = [in_coroutine, in_thread, in_own_session, in_own_scoped_session, in_own_blocking_session]
Way = Callable[[SQLQueue, Job, Body], Awaitable[None]]

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


# --- One transaction --------------------------------------------------------------------------------


@every_way
async def test_the_effect_and_the_end_of_the_job_come_together(shop: SQLQueue, way: Way) -> None:
    async def body(execute: Any) -> None:
        await execute(INSERT, {"number": 1})
        assert await effects(shop) == []
        assert await live(shop) == 1

    await way(shop, await reserved(shop), body)
    assert await effects(shop) == [1]
    assert await live(shop) == 0


@every_way
async def test_an_exception_rolls_both_back_and_keeps_the_reservation(shop: SQLQueue, way: Way) -> None:
    async def body(execute: Any) -> None:
        await execute(INSERT, {"number": 1})
        raise ZeroDivisionError

    job = await reserved(shop)
    with pytest.raises(ZeroDivisionError):
        await way(shop, job, body)
    assert await effects(shop) == []
    await shop.ack(job)


@every_way
async def test_an_error_of_the_database_rolls_both_back(shop: SQLQueue, way: Way) -> None:
    async def body(execute: Any) -> None:
        await execute(INSERT, {"number": 1})
        await execute(INSERT, {"number": None})

    job = await reserved(shop)
    with pytest.raises(DBAPIError):
        await way(shop, job, body)
    assert await effects(shop) == []
    await shop.ack(job)


@every_way
async def test_a_lost_reservation_is_noticed_before_the_block_runs(shop: SQLQueue, way: Way) -> None:
    async def body(execute: Any) -> None:
        raise AssertionError("the block must not run")

    stale = await reserved(shop)
    await shop.release(stale)
    job = await shop.pop()
    with pytest.raises(ReservationLost):
        await way(shop, stale, body)
    await shop.ack(job)
    with pytest.raises(ReservationLost):
        await way(shop, job, body)
    with pytest.raises(ReservationLost):
        await way(shop, A, body)


async def test_a_job_that_is_dispatched_in_the_block_follows_in_the_same_transaction(shop: SQLQueue) -> None:
    job = await reserved(shop)

    async def fail() -> None:
        async with shop.completing(job) as connection:
            await dispatch(shop.within(connection), Effect(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(QueueEmpty):
        await shop.pop()
    async with shop.named("x").completing(job) as connection:
        next_job = await dispatch(shop.within(connection), Effect(2))
    assert (await shop.pop()).id == next_job.id
    assert await live(shop) == 1


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_block_that_ends_its_transaction_itself_is_told(shop: SQLQueue, end: str) -> None:
    job = await reserved(shop)

    async def run() -> None:
        async with shop.completing(job) as connection:
            await getattr(connection, end)()
            await connection.execute(INSERT, {"number": 1})

    with pytest.raises(LagoqueueError, match="has committed or rolled back by itself"):
        await run()
    assert await effects(shop) == []
    first = shop._database.dialect.name == "sqlite"
    assert await live(shop) == (0 if first and end == "commit" else 1)


async def test_a_cancelled_block_is_rolled_back(shop: SQLQueue) -> None:
    job = await reserved(shop)
    entered = asyncio.Event()

    async def run() -> None:
        async with shop.completing(job) as connection:
            await connection.execute(INSERT, {"number": 1})
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await effects(shop) == []
    await shop.ack(job)


async def test_a_commit_that_was_sent_is_waited_for_even_when_cancelled(shop: SQLQueue) -> None:
    job = await reserved(shop)
    engine = create_async_engine(async_url(shop), poolclass=sa.NullPool)
    committing, go_on = asyncio.Event(), asyncio.Event()

    class SlowSession(AsyncSession):
        async def commit(self) -> None:
            committing.set()
            await go_on.wait()
            await super().commit()

    async def run() -> None:
        async with SlowSession(engine) as session, shop.completing(job, session):
            await session.execute(INSERT, {"number": 1})

    task = asyncio.create_task(run())
    await committing.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await effects(shop) == [1]
    assert await live(shop) == 0


async def test_more_blocks_than_a_pool_has_by_default_run_at_once(postgres_url: str) -> None:
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
        await queue.push_many([Job(str(number), "Example", b"{}") for number in range(20)])
        barrier = asyncio.Barrier(20)

        async def run(job: Job) -> None:
            async with queue.completing(job):
                await barrier.wait()

        await asyncio.gather(*[run(job) for job in await queue.pop_many(20)])
        assert await queue.size() == 0


# --- Engines ------------------------------------------------------------------------------------------


async def test_the_connection_is_one_of_the_engine_that_was_given(postgres_url: str) -> None:
    engine = create_async_engine(postgres_url.replace("+psycopg", "+asyncpg"), pool_size=1)
    async with SQLQueue(engine) as queue:
        await queue.setup()
        async with queue.completing(await reserved(queue)) as connection:
            assert connection.engine is engine
            assert engine.pool.checkedout() == 1  # type: ignore[attr-defined]
        with queue.completing(await reserved(queue)) as blocking:
            assert blocking.dialect.driver == "psycopg"
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # closing the queue leaves it alone
    await engine.dispose()

    sync_engine = sa.create_engine(postgres_url)
    async with SQLQueue(sync_engine) as queue:
        with queue.completing(await reserved(queue)) as blocking:
            assert blocking.engine is sync_engine
    sync_engine.dispose()


def test_each_event_loop_gets_connections_of_its_own(database_url: str) -> None:
    queue = SQLQueue(database_url)
    queue.setup_sync()

    async def complete() -> None:
        async with queue.completing(await reserved(queue)):
            pass
        await next(iter(queue._engines._async.values())).dispose()

    asyncio.run(complete())
    asyncio.run(complete())
    asyncio.run(queue.close())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(database_url: str) -> None:
    queue = SQLQueue(database_url)
    queue.setup_sync()
    job = asyncio.run(reserved(queue))
    with queue.completing(job) as connection:
        connection.execute(sa.text("SELECT 1"))

    def child() -> None:
        with queue.completing(asyncio.run(reserved(queue))) as connection:
            connection.execute(sa.text("SELECT 1"))
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    with queue.completing(asyncio.run(reserved(queue))) as connection:  # the parent's still works
        connection.execute(sa.text("SELECT 1"))
    asyncio.run(queue.close())


@pytest.mark.parametrize("missing", ["greenlet", "aiosqlite"])
async def test_a_missing_package_is_named(url: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real_import(name, *arguments)

    async with SQLQueue(url) as queue:
        await queue.setup()
        job = await reserved(queue)
        monkeypatch.setattr(builtins, "__import__", without)
        monkeypatch.setattr("lagoqueue_sql.completing.find_spec", lambda name: None if name == missing else object())
        with pytest.raises(InvalidValue, match=f"pip install {missing}"):
            async with queue.completing(job):
                pass
        await queue.ack(job)


async def test_what_is_no_session_is_refused(url: str) -> None:
    async with SQLQueue(url) as queue:
        with pytest.raises(InvalidValue, match=r"takes a SQLAlchemy AsyncSession.*not builtins\.str"):
            queue.completing(A, "session")  # type: ignore[call-overload]


# --- In a worker ----------------------------------------------------------------------------------------


def counted(url: str) -> tuple[int, ...]:
    """Return what the counters say: pushed, processed, retried."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        row = connection.execute(
            sa.text("SELECT sum(pushed), sum(processed), sum(retried) FROM lagoqueue_totals")
        ).one()
    return tuple(map(int, row))


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
async def test_a_worker_settles_no_job_that_its_handler_completed(
    shop: SQLQueue, database_url: str, blocking: bool
) -> None:
    recorder = Recorder()
    worker = Worker(shop, concurrency=4, backoff=0, observers=[recorder])

    def fails_at_first() -> None:
        if current_job().attempts == 1:
            raise ZeroDivisionError

    async def handle(payload: Effect) -> None:
        async with shop.completing(current_job()) as connection:
            await connection.execute(INSERT, {"number": payload.number})
            fails_at_first()

    def handle_sync(payload: Effect) -> None:
        with shop.completing(current_job()) as connection:
            connection.execute(INSERT, {"number": payload.number})
            fails_at_first()

    worker.handle(Effect, handle_sync if blocking else handle)
    for number in range(10):
        await dispatch(shop, Effect(number))
    await asyncio.wait_for(worker.run(burst=True), 60)
    assert await effects(shop) == list(range(10))
    assert sorted(recorder.names()) == sorted(["started"] * 20 + ["retried"] * 10 + ["processed"] * 10)
    assert await live(shop) == 0
    await shop.close()
    assert await asyncio.to_thread(counted, database_url) == (10, 10, 10)


async def test_an_error_after_the_block_does_not_run_the_job_again(shop: SQLQueue) -> None:
    recorder = Recorder()
    worker = Worker(shop, observers=[recorder])

    @worker.handle(Effect)
    async def handle(payload: Effect) -> None:
        async with shop.completing(current_job()) as connection:
            await connection.execute(INSERT, {"number": payload.number})
        raise ZeroDivisionError

    await dispatch(shop, Effect(1))
    await asyncio.wait_for(worker.run(burst=True), 30)
    assert recorder.names() == ["started", "processed"]
    assert await effects(shop) == [1]


async def test_a_handler_that_times_out_in_the_block_leaves_no_effect(shop: SQLQueue, database_url: str) -> None:
    recorder = Recorder()
    worker = Worker(shop, max_retry=1, observers=[recorder])

    @worker.handle(Effect, timeout=0.3)
    async def handle(payload: Effect) -> None:
        async with shop.completing(current_job()) as connection:
            await connection.execute(INSERT, {"number": payload.number})
            await asyncio.Event().wait()

    await dispatch(shop, Effect(1))
    await asyncio.wait_for(worker.run(burst=True), 30)
    assert recorder.names() == ["started", "failed"]
    assert isinstance(recorder.errors[0], HandlerTimeout)
    assert await effects(shop) == []
    assert await asyncio.to_thread(run_sql, database_url, "SELECT count(*) FROM failed_jobs") == [1]


@pytest.mark.parametrize("database_url", DATABASES[1:], indirect=True)
async def test_a_job_can_be_taken_over_while_its_block_hangs_and_the_block_then_writes_nothing(
    shop: SQLQueue, database_url: str
) -> None:
    async with SQLQueue(database_url, visibility_timeout=0.2) as other:
        await other.push(A)
        job = await other.pop()

        async def body(execute: Any) -> None:
            await execute(INSERT, {"number": 1})
            taken = await shop.pop(20)  # once it has expired
            assert (taken.id, taken.attempts) == ("a", 2)
            await in_coroutine(shop, taken, insert_two)

        with pytest.raises(ReservationLost):
            await in_coroutine(other, job, body)
        with pytest.raises(ReservationLost):
            await in_thread(other, job, insert_two)
    assert await effects(shop) == [2]


@pytest.mark.parametrize("database_url", DATABASES[1:], indirect=True)
async def test_a_long_block_does_not_hold_up_the_keeper(shop: SQLQueue) -> None:
    job = await reserved(shop)
    keeper = shop.keeper()
    async with shop.completing(job) as connection:
        await connection.execute(INSERT, {"number": 1})
        assert await asyncio.wait_for(asyncio.to_thread(keeper.extend, [job]), 5) == []
    assert await asyncio.to_thread(keeper.extend, [job]) == [job]
    await asyncio.to_thread(keeper.close)


async def test_of_two_blocks_for_one_reservation_one_writes(shop: SQLQueue) -> None:
    job = await reserved(shop)
    outcomes = await asyncio.gather(
        in_coroutine(shop, job, insert_two), in_thread(shop, job, insert_two), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "ReservationLost"]
    assert await effects(shop) == [2]


async def insert_two(execute: Any) -> None:
    await execute(INSERT, {"number": 2})
