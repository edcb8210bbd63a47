"""Pushes that share a transaction, because they were made at the same time: each has its own outcome. And batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from lagoqueue import DriverError, DuplicateJob, InvalidJob, Job, OutcomeUnknown, QueueClosed
from lagoqueue_sql import SQLQueue
from tests.proxy import Proxy
from tests.sqlqueue.gate import Gate
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import PATIENCE, each_database, totals

database_url = each_database("sqlite", "postgresql", "mariadb")


def job(job_id: str, payload: bytes = b"{}", **fields: Any) -> Job:
    return Job(job_id, "Example", payload, **fields)


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[SQLQueue]:
    async with connect(url, **settings) as queue:
        await queue.setup()
        yield queue


async def at_once(queue: SQLQueue, *pushes: Awaitable[Any]) -> Sequence[Any]:
    """Make pushes wait for the queue's thread, so that it finds all of them, and return what came of each."""
    gate = Gate()
    holding = gate.holding(queue)
    await asyncio.to_thread(gate.reached.wait, 10)
    tasks = [asyncio.ensure_future(push) for push in pushes]
    await asyncio.sleep(0)  # each is in the thread's hands
    gate.open.set()
    await holding
    return await asyncio.gather(*tasks, return_exceptions=True)


async def left(queue: SQLQueue) -> list[str]:
    """Take all that is due."""
    return [each.id for each in await queue.pop_many(10_000)]


# --- Each has its own outcome -----------------------------------------------------------------------


async def test_a_duplicate_is_its_own_callers_alone(database_url: str) -> None:
    async with opened(database_url) as queue:
        await queue.push(job("old"))
        outcomes = await at_once(
            queue,
            queue.push(job("a")),
            queue.push(job("old")),
            queue.push(job("b")),
            queue.push(job("old"), exist_ok=True),
            queue.push(job("b")),
            queue.push(job("c"), exist_ok=True),
            queue.push(job("c"), exist_ok=True),
        )
        duplicates = [each.job_id for each in outcomes if isinstance(each, DuplicateJob)]
        assert duplicates == ["old", "b"]
        assert [each for each in outcomes if not isinstance(each, DuplicateJob)] == [True, True, False, True, False]
        assert await left(queue) == ["old", "a", "b", "c"]
    assert totals(database_url)["pushed"] == 4


async def test_an_id_that_came_from_elsewhere_meanwhile_is_not_taken_for_stored_here(mariadb_url: str) -> None:
    """Its row is younger than those of the group, which had to wait for another transaction."""
    engine = sa.create_engine(mariadb_url, poolclass=sa.NullPool)
    async with opened(mariadb_url) as queue, opened(mariadb_url) as elsewhere:
        with Session(engine) as session:
            queue.within(session).push_sync(job("a"))
            pushes = asyncio.create_task(at_once(queue, queue.push(job("a")), queue.push(job("b"))))
            await asyncio.to_thread(until_one_waits, engine)
            await elsewhere.push(job("b"))
            session.rollback()
            a, b = await pushes
        assert a is True
        assert isinstance(b, DuplicateJob)
        assert sorted(await left(queue)) == ["a", "b"]


def until_one_waits(engine: sa.Engine) -> None:
    """Return once a transaction waits for another's lock."""
    end = time.monotonic() + PATIENCE
    waits = sa.text("SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
    with engine.connect() as connection:
        while not connection.scalar(waits):
            assert time.monotonic() < end, "nothing waits"
            time.sleep(0.15)  # the table is made anew ten times a second at most


async def test_a_job_that_is_due_later_or_cannot_be_stored_is_its_own_callers_too(database_url: str) -> None:
    async with opened(database_url) as queue:
        outcomes = await at_once(
            queue,
            queue.push(job("later"), delay=3600),
            queue.push(job("no", priority=2**40)),
            queue.push(job("first", available_at=datetime(2020, 1, 1, tzinfo=UTC))),
            queue.push(job("urgent", priority=1)),
            queue.push(job("mail", queue="mail")),
            queue.push(job("then")),
        )
        assert isinstance(outcomes[1], InvalidJob)
        assert [each for each in outcomes if each is not outcomes[1]] == [True] * 5
        assert await left(queue) == ["urgent", "first", "then"]
        assert (await queue.named("mail").pop()).id == "mail"
        assert await queue.size() == 1


async def test_a_caller_who_left_before_takes_no_other_along(database_url: str) -> None:
    async with opened(database_url) as queue:
        gate = Gate()
        holding = gate.holding(queue)
        await asyncio.to_thread(gate.reached.wait, 10)
        pushing = [asyncio.ensure_future(queue.push(job(each))) for each in "abc"]
        await asyncio.sleep(0)  # each is in the thread's hands
        pushing[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing[1]
        gate.open.set()
        await holding
        assert list(await asyncio.gather(pushing[0], pushing[2])) == [True, True]
        assert await left(queue) == ["a", "c"]


async def test_pushes_beside_other_calls_are_all_done(database_url: str) -> None:
    async with opened(database_url) as queue:
        outcomes = await at_once(
            queue,
            queue.push(job("a")),
            queue.push(job("b")),
            queue.push_many([job("c"), job("a")]),
            queue.push(job("d")),
            queue.size(),
            queue.push(job("e")),
            queue.push(job("f")),
        )
        assert isinstance(outcomes[2], DuplicateJob)
        assert [each for each in outcomes if each is not outcomes[2]] == [True, True, True, 3, True, True]
        assert await left(queue) == ["a", "b", "d", "e", "f"]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_what_cannot_be_written_is_refused_alone(database_url: str) -> None:
    async with opened(database_url) as queue:
        outcomes = await at_once(
            queue, queue.push(job("a")), queue.push(job("b", attempts=2**70)), queue.push(job("c"))
        )
        assert isinstance(outcomes[1], Exception)
        assert [outcomes[0], outcomes[2]] == [True, True]
        assert await left(queue) == ["a", "c"]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_what_the_database_refuses_is_refused_alone(database_url: str) -> None:
    async with opened(database_url) as queue:
        if database_url.startswith("sqlite"):
            refuse = "CREATE TRIGGER no BEFORE INSERT ON jobs WHEN NEW.id = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        else:
            refuse = "ALTER TABLE jobs ADD CHECK (id <> 'bad')"
        engine = sa.create_engine(database_url)
        with engine.begin() as connection:
            connection.exec_driver_sql(refuse)
        engine.dispose()
        outcomes = await at_once(queue, *[queue.push(job(each)) for each in ("a", "bad", "b")])
        assert isinstance(outcomes[1], DriverError)
        assert not isinstance(outcomes[1], OutcomeUnknown)
        assert [outcomes[0], outcomes[2]] == [True, True]
        assert await left(queue) == ["a", "b"]


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
async def test_when_the_answer_is_lost_nobody_is_told_that_it_was_stored(database_url: str) -> None:
    port = sa.make_url(database_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        proxied = sa.make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)
        async with opened(proxied) as queue:
            jobs = [job(f"job-{number}") for number in range(5)]
            cut = await asyncio.to_thread(proxy.cut_after, b"job-3")
            outcomes = await at_once(queue, *[queue.push(each) for each in jobs])
            assert cut.is_set()
            assert [type(each) for each in outcomes] == [OutcomeUnknown] * 5
            again = await at_once(queue, *[queue.push(each, exist_ok=True) for each in jobs])
            assert list(again) in ([False] * 5, [True] * 5)  # it had stored all of them, or none
            assert await left(queue) == [each.id for each in jobs]


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
async def test_a_batch_whose_answer_is_lost_can_be_pushed_again(database_url: str) -> None:
    port = sa.make_url(database_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        proxied = sa.make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)
        async with opened(proxied) as queue:
            jobs = [job(f"job-{number}") for number in range(5)]
            cut = await asyncio.to_thread(proxy.cut_after, b"job-4")
            with pytest.raises(OutcomeUnknown):
                await queue.push_many(jobs)
            assert cut.is_set()
            assert await queue.push_many(jobs, exist_ok=True) in (0, 5)
            assert await left(queue) == [each.id for each in jobs]


async def test_closing_stores_first_what_was_pushed_before(database_url: str) -> None:
    async with opened(database_url) as queue, connect(database_url) as other:
        gate = Gate()
        holding = gate.holding(queue)
        await asyncio.to_thread(gate.reached.wait, 10)
        pushing = [asyncio.ensure_future(queue.push(job(each))) for each in ("a", "b")]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(queue.close())
        await asyncio.sleep(0)
        with pytest.raises(QueueClosed):
            await queue.push(job("late"))
        gate.open.set()
        await asyncio.gather(holding, closing)
        assert await asyncio.gather(*pushing) == [True, True]
        assert await left(other) == ["a", "b"]


# --- Many -----------------------------------------------------------------------------------------


async def test_more_than_fit_together_keep_their_order(database_url: str) -> None:
    large = b"x" * 400_000
    jobs = [job(f"{number:04}", large if number % 500 < 3 else b"{}") for number in range(1200)]
    async with opened(database_url) as queue:
        assert await at_once(queue, *[queue.push(each) for each in jobs]) == [True] * len(jobs)
        found = await queue.pop_many(len(jobs))
        assert [(each.id, each.payload) for each in found] == [(each.id, each.payload) for each in jobs]


async def test_many_loops_and_threads_push_at_once(database_url: str) -> None:
    loops, threads, each = 3, 3, 40

    async def push(queue: SQLQueue, name: str) -> list[bool]:
        return list(await asyncio.gather(*[queue.push(job(f"{name}-{number}")) for number in range(each)]))

    def from_a_loop(queue: SQLQueue, name: str) -> list[bool]:
        return asyncio.run(push(queue, name))

    def from_a_thread(queue: SQLQueue, name: str) -> list[bool]:
        return [queue.push_sync(job(f"{name}-{number}")) for number in range(each)]

    async with opened(database_url) as queue:
        stored = await asyncio.gather(
            *[asyncio.to_thread(from_a_loop, queue, f"loop-{number}") for number in range(loops)],
            *[asyncio.to_thread(from_a_thread, queue, f"thread-{number}") for number in range(threads)],
            push(queue, "here"),
        )
        assert stored == [[True] * each] * (loops + threads + 1)
        found = await left(queue)
        assert len(found) == len(set(found)) == each * (loops + threads + 1)
        for thread in range(threads):  # who pushed one after the other finds them in that order
            assert [each for each in found if each.startswith(f"thread-{thread}-")] == [
                f"thread-{thread}-{number}" for number in range(each)
            ]


# --- Batches --------------------------------------------------------------------------------------


async def test_a_batch_is_all_or_none_and_names_the_first_duplicate(database_url: str) -> None:
    async with opened(database_url) as queue:
        await queue.push_many([job("c"), job("z")])
        for batch, duplicate in (("abcd", "c"), ("aba", "a"), ("azca", "z")):
            with pytest.raises(DuplicateJob) as caught:
                await queue.push_many([job(each) for each in batch])
            assert caught.value.job_id == duplicate
            assert await queue.size() == 2
        assert await queue.push_many([job(each) for each in "aca"], exist_ok=True) == 1
        assert await queue.push_many([]) == 0
        assert await left(queue) == ["c", "z", "a"]


async def test_a_batch_keeps_every_character(database_url: str) -> None:
    texts = ["plain", r"\N", r"\.", "tab\tline\nreturn\r", "back\\slash", "quote'\"", "%s :x", "ümläut 🐎"]
    every_byte = bytes(range(256))
    jobs = [Job(text, text, text.encode() + every_byte, headers={text: text}) for text in texts]
    async with opened(database_url) as queue:
        assert await queue.push_many(jobs) == len(jobs)
        found = await queue.pop_many(len(jobs))
        assert [(each.id, each.name, each.payload, each.headers) for each in found] == [
            (each.id, each.name, each.payload, each.headers) for each in jobs
        ]


async def test_each_job_of_a_batch_is_due_when_it_says_and_all_by_a_delay(database_url: str) -> None:
    past, future = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
    async with opened(database_url) as queue:
        await queue.push_many([job("now"), job("later", available_at=future), job("past", available_at=past)])
        await queue.push_many([job("delayed", available_at=past), job("too")], delay=3600)
        assert await left(queue) == ["past", "now"]
        assert await queue.size() == 3


# --- Waking others --------------------------------------------------------------------------------


async def test_every_push_that_stores_something_is_followed_by_a_notification(postgres_url: str) -> None:
    async with opened(postgres_url) as queue:
        plain = postgres_url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as listening:
            await listening.execute('LISTEN "lagoqueue_jobs"')

            async def heard() -> int:
                return len([each async for each in listening.notifies(timeout=PATIENCE, stop_after=1)])

            await queue.push(job("a"))  # the first in a while, then one right behind it, then a group and a batch
            assert await heard()
            await queue.push(job("b"))
            assert await heard()
            await at_once(queue, queue.push(job("c")), queue.push(job("d")))
            assert await heard()
            await queue.push_many([job("e"), job("f")])
            assert await heard()
