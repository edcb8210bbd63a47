"""Jobs in the caller's own transaction: through each kind of connection, they exist once it commits, or never."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from django.db import transaction
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from lagoqueue import (
    DuplicateJob,
    InvalidJob,
    InvalidValue,
    Job,
    QueueEmpty,
    dispatch,
    dispatch_many,
    dispatch_sync,
)
from lagoqueue_sql import SQLQueue, chores
from lagoqueue_sql.thread import OwnerThread
from tests.core.recorder import Recorder
from tests.sqlqueue.callers import ASYNC, SYNC, AsyncCaller, Caller
from tests.sqlqueue.payloads import Effect
from tests.sqlqueue.processes import PATIENCE

A, B, C = (Job(each, "Example", b'{"n": 1}') for each in "abc")


def open_queue(url: str) -> SQLQueue:
    return SQLQueue(url, synchronous="normal" if url.startswith("sqlite") else None)


def count_pushed(queue: SQLQueue, url: str) -> int:
    """Close the queue, so that it writes its counters, and return how many pushes it counted."""
    asyncio.run(queue.close())
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        totals = queue.metadata.tables["lagoqueue_totals"].c
        found = connection.scalar(sa.select(sa.func.sum(totals.pushed)))
    return int(found or 0)


def drain(queue: SQLQueue, *labels: str) -> list[Job]:
    async def pop_all() -> list[Job]:
        view = queue.named(*labels) if labels else queue
        try:
            return await view.pop_many(100)
        except QueueEmpty:
            return []

    return asyncio.run(pop_all())


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


# --- Callers that block ---------------------------------------------------------------------------


@pytest.fixture(params=SYNC, ids=str)
def sync_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(SYNC[request.param][0]))


@pytest.fixture
def shop(sync_url: str) -> Iterator[SQLQueue]:
    queue = open_queue(sync_url)
    queue.setup_sync()
    yield queue
    asyncio.run(queue.close())


@pytest.fixture
def caller(request: pytest.FixtureRequest, sync_url: str, shop: SQLQueue) -> Iterator[Caller]:
    _, opened, driver = SYNC[request.node.callspec.params["sync_url"]]
    with opened(sync_url, driver) as caller:
        yield caller


def test_a_blocking_caller_that_rolls_back_leaves_nothing(shop: SQLQueue, caller: Caller, sync_url: str) -> None:
    dispatch_sync(shop.within(caller.handle), Effect(1))
    assert caller.execute("SELECT count(*) FROM jobs") == 1
    caller.rollback()
    assert drain(shop) == []
    assert caller.execute("SELECT count(*) FROM jobs") == 0


def test_a_blocking_caller_that_commits_has_its_jobs_delivered(shop: SQLQueue, caller: Caller, sync_url: str) -> None:
    recorder = Recorder()
    shop.observers.append(recorder)
    producer = shop.within(caller.handle)
    late = dispatch_sync(producer, Effect(1), delay=3600)
    low = dispatch_sync(producer, Effect(2), headers={"trace": "ü:1%"})
    high = dispatch_sync(producer, Effect(3), priority=5)
    assert shop.within(caller.handle).push_many_sync([A, B]) == 2
    assert producer.push_many_sync([]) == 0
    assert asyncio.run(shop.size()) == 0
    caller.commit()
    found = drain(shop)
    assert ids(found) == [high.id, low.id, "a", "b"]
    assert found[1].headers == {"trace": "ü:1%"}
    assert found[2].payload == A.payload
    assert caller.execute("SELECT count(*) FROM jobs") == 5
    assert caller.execute(f"SELECT available_at FROM jobs WHERE id = '{late.id}'") > (time.time() + 3500) * 1e6
    assert recorder.names() == ["pushed"] * 3
    assert count_pushed(shop, sync_url) == 5


def test_a_duplicate_leaves_a_blocking_callers_transaction_as_it_was(shop: SQLQueue, caller: Caller) -> None:
    shop.push_sync(B)
    producer = shop.within(caller.handle)
    assert producer.push_sync(C)
    for again in ([B], [A, B], [A, C], [A, A]):
        with pytest.raises(DuplicateJob) as caught:
            producer.push_many_sync(again)
        assert caught.value.job_id == again[-1].id
    assert caller.execute("SELECT count(*) FROM jobs") == 2
    assert producer.push_many_sync([A, B, C, A], exist_ok=True) == 1
    assert not producer.push_sync(B, exist_ok=True)
    caller.commit()
    assert sorted(ids(drain(shop))) == ["a", "b", "c"]


def test_a_named_view_gives_a_blocking_callers_jobs_its_label(shop: SQLQueue, caller: Caller) -> None:
    producer = shop.named("mail", "bulk").within(caller.handle)
    assert producer.labels == ("mail", "bulk")
    job = dispatch_sync(producer, Effect(1))
    producer.push_many_sync([A])
    caller.commit()
    assert ids(drain(shop)) == []
    assert ids(drain(shop, "mail")) == [job.id, "a"]


def test_bad_jobs_are_refused_before_a_blocking_caller_runs_anything(shop: SQLQueue, caller: Caller) -> None:
    with pytest.raises(InvalidJob):
        shop.within(caller.handle).push_many_sync([A, Job("", "Example", b"")])
    with pytest.raises(InvalidValue, match="delay"):
        shop.within(caller.handle).push_sync(A, delay=-1)
    caller.commit()
    assert drain(shop) == []


# --- Callers in a coroutine -------------------------------------------------------------------------


@pytest.fixture(params=ASYNC, ids=str)
def async_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(ASYNC[request.param][0]))


@pytest_asyncio.fixture
async def async_shop(async_url: str) -> AsyncIterator[SQLQueue]:
    async with open_queue(async_url) as queue:
        await queue.setup()
        yield queue


@pytest_asyncio.fixture
async def async_caller(
    request: pytest.FixtureRequest, async_url: str, async_shop: SQLQueue
) -> AsyncIterator[AsyncCaller]:
    _, opened, driver = ASYNC[request.node.callspec.params["async_url"]]
    async with opened(async_url, driver) as caller:
        yield caller


async def popped(queue: Any) -> list[str]:
    try:
        return [job.id for job in await queue.pop_many(100)]
    except QueueEmpty:
        return []


async def test_a_coroutine_that_rolls_back_leaves_nothing(async_shop: SQLQueue, async_caller: AsyncCaller) -> None:
    await dispatch(async_shop.within(async_caller.handle), Effect(1))
    assert await async_caller.execute("SELECT count(*) FROM jobs") == 1
    await async_caller.rollback()
    assert await popped(async_shop) == []
    assert await async_caller.execute("SELECT count(*) FROM jobs") == 0


async def test_a_coroutine_that_commits_has_its_jobs_delivered(
    async_shop: SQLQueue, async_caller: AsyncCaller, async_url: str
) -> None:
    producer = async_shop.within(async_caller.handle)
    late = await dispatch(producer, Effect(1), delay=3600)
    low = await dispatch(producer, Effect(2), headers={"trace": "ü:1%"})
    high = await dispatch(producer, Effect(3), priority=5)
    many = await dispatch_many(producer, [Effect(number) for number in range(4, 14)])
    assert await async_shop.size() == 0
    await async_caller.commit()
    assert await popped(async_shop) == [high.id, low.id, *(job.id for job in many)]
    assert await async_caller.execute(f"SELECT attempts FROM jobs WHERE id = '{late.id}'") == 0
    assert await asyncio.to_thread(count_pushed, async_shop, async_url) == 13


async def test_a_duplicate_leaves_a_coroutines_transaction_as_it_was(
    async_shop: SQLQueue, async_caller: AsyncCaller
) -> None:
    await async_shop.push(B)
    producer = async_shop.within(async_caller.handle)
    assert await producer.push(C)
    for again in ([B], [A, B], [A, C], [A, A]):
        with pytest.raises(DuplicateJob) as caught:
            await producer.push_many(again)
        assert caught.value.job_id == again[-1].id
    assert await async_caller.execute("SELECT count(*) FROM jobs") == 2
    assert await producer.push_many([A, B, C, A], exist_ok=True) == 1
    assert not await producer.push(B, exist_ok=True)
    await async_caller.commit()
    assert sorted(await popped(async_shop)) == ["a", "b", "c"]


async def test_a_named_view_gives_a_coroutines_jobs_its_label(async_shop: SQLQueue, async_caller: AsyncCaller) -> None:
    job = await dispatch(async_shop.named("mail").within(async_caller.handle), Effect(1))
    await async_shop.named("mail").within(async_caller.handle).push(A)
    await async_caller.commit()
    assert await popped(async_shop) == []
    assert await popped(async_shop.named("mail")) == [job.id, "a"]


# --- Waking and counting ----------------------------------------------------------------------------

WAKING = ["AsyncSession-aiosqlite", "AsyncConnection-aiosqlite", "AsyncSession-asyncpg", "AsyncConnection-asyncpg"]


@pytest.mark.parametrize("async_url", WAKING, indirect=True)
async def test_a_commit_wakes_a_waiting_pop(
    async_shop: SQLQueue, async_caller: AsyncCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(async_shop._database), "poll", 600.0)
    await async_shop.push(A)
    await async_shop.pop()
    job = await dispatch(async_shop.within(async_caller.handle), Effect(1))
    waiting = asyncio.create_task(async_shop.pop(60))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await async_caller.commit()
    assert (await waiting).id == job.id
    assert time.monotonic() - began < 1.0


async def test_a_commit_in_one_process_wakes_a_pop_in_another(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_async_engine(postgres_url)
    async with SQLQueue(postgres_url) as pushing, SQLQueue(postgres_url) as popping:
        await pushing.setup()
        monkeypatch.setattr(type(popping._database), "poll", 600.0)
        waiting = asyncio.create_task(popping.pop(60))
        await asyncio.sleep(0.3)  # until it listens
        async with AsyncSession(engine) as session:
            job = await dispatch(pushing.within(session), Effect(1))
            began = time.monotonic()
            await session.commit()
        assert (await waiting).id == job.id
        assert time.monotonic() - began < 1.0
    await engine.dispose()


def rings(queue: SQLQueue, least: int) -> bool:
    """Wait until the bell has rung so often, and a moment more; tell whether it rang no oftener."""
    deadline = time.monotonic() + 5
    while queue._bell.rung < least and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    return queue._bell.rung == least


@pytest.mark.parametrize("sync_url", ["Session-pysqlite", "Session-psycopg", "Connection-psycopg2"], indirect=True)
def test_only_a_commit_rings_and_only_for_what_it_holds(shop: SQLQueue, caller: Caller, sync_url: str) -> None:
    producer = shop.within(caller.handle)
    producer.push_sync(A)
    assert rings(shop, 0)
    caller.rollback()
    assert rings(shop, 0)
    caller.execute("SELECT 1")
    caller.commit()
    assert rings(shop, 0)
    producer.push_many_sync([A, B])
    producer.push_sync(C)
    caller.commit()
    assert rings(shop, 1)
    caller.execute("SELECT 1")
    caller.commit()
    assert rings(shop, 1)
    assert count_pushed(shop, sync_url) == 3


@pytest.mark.parametrize(
    "sync_url", ["Session-psycopg", "Connection-psycopg2", "Session-pymysql", "Connection-pymysql"], indirect=True
)
def test_savepoints_take_what_was_pushed_in_them_with_them(shop: SQLQueue, caller: Caller, sync_url: str) -> None:
    def push(job_id: str) -> None:
        shop.within(caller.handle).push_sync(Job(job_id, "Example", b"{}"))

    before = caller.handle.begin_nested()
    push("kept-1")
    before.commit()
    outer = caller.handle.begin_nested()
    push("lost-1")
    inner = caller.handle.begin_nested()
    push("lost-2")
    inner.commit()
    outer.rollback()
    push("kept-2")
    outer = caller.handle.begin_nested()
    push("kept-3")
    inner = caller.handle.begin_nested()
    push("lost-3")
    inner.rollback()
    push("kept-4")
    outer.commit()
    assert shop._bell.rung == 0
    caller.commit()
    assert rings(shop, 1)
    assert ids(drain(shop)) == ["kept-1", "kept-2", "kept-3", "kept-4"]
    assert count_pushed(shop, sync_url) == 4


def test_a_session_that_is_closed_without_a_commit_does_not_count(url: str) -> None:
    queue = open_queue(url)
    queue.setup_sync()
    with Session(sa.create_engine(url, poolclass=sa.NullPool)) as session:
        queue.within(session).push_sync(A)
        session.close()
        session.execute(sa.text("SELECT 1"))
        session.commit()
    assert rings(queue, 0)
    assert count_pushed(queue, url) == 0
    asyncio.run(queue.close())


def test_a_run_of_commits_pokes_the_queues_thread_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "NOTIFY_EVERY", PATIENCE)
    monkeypatch.setattr(chores, "COUNT_EVERY", PATIENCE)
    pokes = 0
    poke = OwnerThread.poke

    def counted(thread: OwnerThread) -> None:
        nonlocal pokes
        pokes += 1
        poke(thread)

    monkeypatch.setattr(OwnerThread, "poke", counted)
    queue = open_queue(url)
    queue.setup_sync()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for number in range(20):
        with Session(engine) as session:
            dispatch_sync(queue.within(session), Effect(number))
            session.commit()
        if number < 3:
            asyncio.run(queue.size())  # the thread has looked at its chores
    assert 1 <= pokes <= 3
    assert count_pushed(queue, url) == 20


@pytest.mark.parametrize("sync_url", ["django-sqlite3", "django-postgresql"], indirect=True)
def test_django_tells_of_a_commit_by_its_own_hook(
    shop: SQLQueue, caller: Caller, sync_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = caller.handle
    connection.set_autocommit(True)
    monkeypatch.setattr("django.db.transaction.get_connection", lambda using: connection)

    def push_and_fail(number: int) -> None:
        with transaction.atomic():
            dispatch_sync(shop.within(connection), Effect(number))
            raise ZeroDivisionError

    with transaction.atomic():
        dispatch_sync(shop.within(connection), Effect(1))
        with pytest.raises(ZeroDivisionError):
            push_and_fail(2)
        assert rings(shop, 0)
    assert rings(shop, 1)
    with pytest.raises(ZeroDivisionError):
        push_and_fail(3)
    assert rings(shop, 1)
    dispatch_sync(shop.within(connection), Effect(4))  # commits by itself
    assert rings(shop, 2)
    assert len(drain(shop)) == 2
    assert count_pushed(shop, sync_url) == 2


# --- With the caller's own rows -----------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize("async_url", ["AsyncSession-aiosqlite", "AsyncSession-asyncpg"], indirect=True)
async def test_a_row_and_its_job_come_together_or_not_at_all(async_shop: SQLQueue, async_caller: AsyncCaller) -> None:
    session: AsyncSession = async_caller.handle
    await session.run_sync(lambda sync: Base.metadata.create_all(sync.connection()))
    await session.commit()
    session.add(User(id=1))
    await session.flush()
    await dispatch(async_shop.within(session), Effect(1))
    await session.rollback()
    session.add(User(id=2))
    await session.flush()
    await dispatch(async_shop.within(session), Effect(2))
    await session.commit()
    assert await session.scalar(sa.select(sa.func.max(User.id))) == 2
    assert await session.scalar(sa.select(sa.func.count()).select_from(User)) == 1
    assert len(await popped(async_shop)) == 1


def test_a_connection_that_commits_by_itself_stores_at_once(postgres_url: str) -> None:
    queue = open_queue(postgres_url)
    queue.setup_sync()
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        queue.within(connection).push_sync(A)
        assert ids(drain(queue)) == ["a"]
        with pytest.raises(DuplicateJob):
            queue.within(connection).push_many_sync([B, A])
        assert drain(queue) == []
    asyncio.run(queue.close())


# --- What is refused --------------------------------------------------------------------------------


def test_what_is_no_connection_is_refused_by_name(url: str) -> None:
    queue = open_queue(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for handle, name in ((engine, "Engine"), ("jobs", "builtins.str"), (None, "NoneType"), (object(), "object")):
        with pytest.raises(InvalidValue, match=f"takes a SQLAlchemy Session.*not .*{name}"):
            queue.within(handle)  # type: ignore[call-overload]
    with pytest.raises(InvalidValue, match="not open yet"):
        queue.within(create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:")).connect())


def test_a_connection_to_another_kind_of_database_is_refused() -> None:
    queue = SQLQueue("postgresql://host/database")
    handles: list[Any] = [sqlite3.connect(":memory:"), Session(sa.create_engine("sqlite://", poolclass=sa.NullPool))]
    for handle in handles:
        with pytest.raises(InvalidValue, match="is postgresql, but this one is to sqlite"):
            queue.within(handle)
        handle.close()


def test_a_session_with_an_engine_for_each_model_needs_a_connection(url: str) -> None:
    queue = open_queue(url)
    queue.setup_sync()
    with Session(binds={User: sa.create_engine(url, poolclass=sa.NullPool)}) as session:
        with pytest.raises(InvalidValue, match="bind_arguments"):
            queue.within(session)
        queue.within(session.connection(bind_arguments={"mapper": User})).push_sync(A)
        session.commit()
    assert ids(drain(queue)) == ["a"]
    asyncio.run(queue.close())
