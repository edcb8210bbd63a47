"""Claims that begin at a floor: what appears behind it is found all the same, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import psycopg
import pytest
import pytest_asyncio

from lagoqueue import Job, QueueEmpty
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLQueue
from lagoqueue_sql import outlook as outlook_module
from lagoqueue_sql.outlook import Arrival, Level, Outlook

SECOND = 1_000_000


# --- What an outlook knows ------------------------------------------------------------------------


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outlook(clock: ManualClock) -> Outlook:
    """An outlook that has just seen two jobs, one due and one in a minute, at instant 1,000 s."""
    outlook = Outlook(clock, 0.1)
    outlook.saw(["a", "b"], [("a", 0, 900 * SECOND), ("a", 5, 1060 * SECOND)], 1000 * SECOND, clock.monotonic(), 0.001)
    return outlook


def test_it_must_look_before_it_knows_anything(clock: ManualClock) -> None:
    outlook = Outlook(clock, 0.1)
    assert outlook.is_stale(["a"])
    assert outlook.due_levels(["a"]) == []


def test_a_look_serves_for_a_while_and_longer_when_it_was_expensive(outlook: Outlook, clock: ManualClock) -> None:
    assert not outlook.is_stale(["a", "b"])
    assert outlook.is_stale(["a", "c"])
    clock.advance(0.1)
    assert outlook.is_stale(["a"])
    outlook.saw(["a"], [], 1000 * SECOND, clock.monotonic(), 0.5)
    clock.advance(5)
    assert not outlook.is_stale(["a"])


def test_only_due_levels_are_claimed_each_from_its_floor(outlook: Outlook, clock: ManualClock) -> None:
    assert outlook.due_levels(["b", "a"]) == [Level("a", 0, 900 * SECOND)]
    assert outlook.next_due(["a"]) == clock.monotonic() - 100
    clock.advance(60)
    assert outlook.due_levels(["a"]) == [Level("a", 5, 1000 * SECOND), Level("a", 0, 900 * SECOND)]


def test_a_claim_moves_the_floor_and_a_short_one_empties_the_level(outlook: Outlook) -> None:
    asked = outlook.due_levels(["a"])
    outlook.claimed(asked, [("a", 0, 950 * SECOND, 7)], short=False)
    assert outlook.due_levels(["a"]) == [Level("a", 0, 950 * SECOND, 7)]
    outlook.claimed(asked, [("a", 0, 960 * SECOND, 7)], short=True)
    assert outlook.due_levels(["a"]) == []
    assert not outlook.is_certain(["a"])


def test_a_push_of_this_process_is_due_at_once_and_lowers_the_floor_when_it_has_to(outlook: Outlook) -> None:
    outlook.claimed(outlook.due_levels(["a"]), [("a", 0, 950 * SECOND, 7)], short=True)
    outlook.expect(Arrival("a", 0))
    assert outlook.due_levels(["a"]) == [Level("a", 0, 950 * SECOND, 7)]
    outlook.expect(Arrival("a", 0, 10 * SECOND))
    assert outlook.due_levels(["a"]) == [Level("a", 0, 10 * SECOND)]


def test_a_delayed_push_leaves_room_for_one_that_is_due_now(outlook: Outlook) -> None:
    outlook.expect(Arrival("b", 0, 2000 * SECOND))
    assert outlook.due_levels(["b"]) == []
    outlook.expect(Arrival("b", 0))
    (level,) = outlook.due_levels(["b"])
    assert level.floor <= 1000 * SECOND


def test_a_push_with_a_delay_is_due_after_it(outlook: Outlook, clock: ManualClock) -> None:
    outlook.expect(Arrival("b", 0, delay=30 * SECOND))
    assert outlook.due_levels(["b"]) == []
    assert outlook.next_due(["b"]) == clock.monotonic() + 30
    clock.advance(30)
    assert [level.queue for level in outlook.due_levels(["b"])] == ["b"]


def test_a_claim_a_little_early_does_not_forget_what_it_came_for(outlook: Outlook, clock: ManualClock) -> None:
    clock.advance(59.999)
    asked = outlook.due_levels(["a"])
    assert Level("a", 5, 1000 * SECOND) in asked
    outlook.claimed(asked, [], short=True)
    assert outlook.next_due(["a"]) == pytest.approx(clock.monotonic() + 0.001)


def test_news_from_elsewhere_makes_every_known_level_worth_a_claim(outlook: Outlook) -> None:
    outlook.claimed(outlook.due_levels(["a"]), [], short=True)
    outlook.stir()
    assert outlook.due_levels(["a"]) == [Level("a", 0, 900 * SECOND)]


def test_a_look_raises_the_floor_of_a_level_that_it_found_empty(outlook: Outlook, clock: ManualClock) -> None:
    outlook.saw(["a"], [], 1010 * SECOND, clock.monotonic(), 0.001)
    outlook.stir()
    assert outlook.due_levels(["a"]) == [Level("a", 5, 1010 * SECOND), Level("a", 0, 1010 * SECOND)]


async def test_a_job_that_is_known_to_come_due_waits_for_no_look(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is until the next look can be afforded."""
    monkeypatch.setattr(outlook_module, "SHARE", 1_000_000)
    clock = ManualClock()
    async with SQLQueue(postgres_url, _clock=clock) as queue:
        await queue.setup()

        async def comes(back: Awaitable[object]) -> Job:
            pop = asyncio.create_task(queue.pop(600))
            await asyncio.sleep(0.02)
            await back
            await clock.elapse(0.6)  # less than until a pop looks by itself
            return await asyncio.wait_for(pop, 5)

        job = await comes(queue.push(Job("a", "Example", b"{}"), delay=0.4))
        await comes(queue.push_many([Job("b", "Example", b"{}")], delay=0.4))
        await comes(queue.nack(job, retry_after=0.4))


# --- What appears behind a floor ------------------------------------------------------------------


@pytest_asyncio.fixture
async def queue(postgres_url: str) -> AsyncIterator[SQLQueue]:
    """A queue without wake-ups that has claimed, so that its floor is at the present."""
    async with SQLQueue(postgres_url, wakeup="poll") as queue:
        await queue.setup()
        await queue.push(Job("first", "Example", b"{}"))
        await queue.ack(await queue.pop())
        yield queue


PUSH = (
    "INSERT INTO jobs (id, queue, priority, name, payload, headers, attempts, available_at) VALUES (%s, 'default', 0,"
    " 'Example', '{}', '{}', 0, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint + %s)"
)


async def test_a_job_whose_transaction_took_long_to_commit(queue: SQLQueue, postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(PUSH, ["late", 0])
        await queue.push_many([Job(f"{n}", "Example", b"{}") for n in range(3)])
        assert len(await queue.pop_many(2)) == 2  # the floor is behind the late one, and one more waits
        connection.commit()
    found = {job.id for job in [await asyncio.wait_for(queue.pop(5), 10) for _ in range(2)]}
    assert found == {"late", "2"}


async def test_a_job_whose_transaction_took_long_while_the_queue_is_busy(queue: SQLQueue, postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(PUSH, ["late", 0])
        for number in range(20):
            await queue.push(Job(f"before-{number}", "Example", b"{}"))
            await queue.ack(await queue.pop())
        connection.commit()
    for number in range(2000):  # it never finds the queue empty
        await queue.push(Job(f"after-{number}", "Example", b"{}"))
        job = await queue.pop()
        await queue.ack(job)
        if job.id == "late":
            return
    raise AssertionError("a job that was committed late was not found among 2,000 others")


async def test_a_job_with_an_instant_in_the_past(queue: SQLQueue, postgres_url: str) -> None:
    """As by a producer before the server's clock was corrected, or by an import."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(PUSH, ["old", -3600 * SECOND])
    assert (await queue.pop()).id == "old"


async def test_jobs_pushed_before_the_servers_clock_was_set_back(queue: SQLQueue, postgres_url: str) -> None:
    """To the queue they are in the future until the clock gets there; nothing else waits for that."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(PUSH, ["future", 3600 * SECOND])
    await queue.push(Job("now", "Example", b"{}"))
    await queue.ack(await queue.pop())
    with pytest.raises(QueueEmpty):
        await queue.pop()
    assert await queue.size() == 1


async def test_a_retry_goes_to_the_end_of_its_level_and_is_found(queue: SQLQueue) -> None:
    await queue.push_many([Job("a", "Example", b"{}"), Job("b", "Example", b"{}")])
    first = await queue.pop()
    await queue.nack(first, 0.05)
    await queue.ack(await queue.pop())
    assert (await queue.pop(5)).id == first.id


async def test_a_priority_that_another_process_begins_to_use_is_noticed(queue: SQLQueue, postgres_url: str) -> None:
    async with SQLQueue(postgres_url, wakeup="poll") as other:
        await other.push(Job("urgent", "Example", b"{}", priority=9))
    assert (await queue.pop()).id == "urgent"


async def test_expired_reservations_are_found_behind_the_floor(postgres_url: str) -> None:
    async with SQLQueue(postgres_url, wakeup="poll", visibility_timeout=0.4) as queue:
        await queue.setup()
        await queue.push(Job("old", "Example", b"{}"))
        await queue.pop()
        for number in range(10):
            await queue.push(Job(f"{number}", "Example", b"{}"))
            await queue.ack(await queue.pop())
        assert (await queue.pop(5)).id == "old"
