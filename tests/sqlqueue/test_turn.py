"""A turn: settlements and the next claim in one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from lagoqueue import DriverError, Job, Settlement
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from tests.proxy import Proxy
from tests.sqlqueue.gate import Gate
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import each_database, totals

database_url = each_database("sqlite", "postgresql", "mariadb")
server_url = each_database("postgresql", "mariadb")


def some(*ids: str) -> list[Job]:
    return [Job(each, "Example", b"{}") for each in ids]


def acks(jobs: list[Job]) -> list[Settlement]:
    return [Settlement(job, "ack", seconds=0.0) for job in jobs]


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


async def test_receipts_of_one_batch_do_not_stand_for_each_other(database_url: str) -> None:
    """Each is refused that is not of its own job's latest reservation, though another in the batch is."""
    async with connect(database_url) as queue:
        await queue.setup()
        await queue.push_many(some("a", "b"))
        stale = await queue.pop()
        await queue.release(stale)
        b, a = await queue.pop_many(2)
        assert (a.id, b.id) == ("a", "b")
        forged = Job("b", "Example", b"{}", receipt=a.receipt)
        assert ids((await queue.turn(acks([stale, b, forged]), 5)).lost) == ["a", "b"]
        assert await queue.turn(acks([a, b]), 5) == ([], [b])


async def test_the_second_settlement_of_a_reservation_finds_it_gone(database_url: str) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
        await queue.push_many(some("a", "b"))
        a = await queue.pop()
        turn = await queue.turn([Settlement(a, "ack"), Settlement(a, "release")], 5)
        assert (ids(turn.jobs), turn.lost) == (["b"], [a])
    assert totals(database_url)["processed"] == 1


async def test_a_turn_goes_through_labels_and_priorities_in_order(database_url: str) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
        for label in ("x", "y"):
            for priority in (0, 2, 1):
                await queue.push_many(
                    [Job(f"{label}{priority}{n}", "Example", b"{}", queue=label, priority=priority) for n in range(2)]
                )
        turn = await queue.turn([], 5, labels=["y", "x"])
        assert ids(turn.jobs) == ["y20", "y21", "y10", "y11", "y00"]
        turn = await queue.turn(acks(turn.jobs), 5, labels=["y", "x"])
        assert ids(turn.jobs) == ["y01", "x20", "x21", "x10", "x11"]
        turn = await queue.turn(acks(turn.jobs), 5, labels=["y", "x"])
        assert ids(turn.jobs) == ["x00", "x01"]


async def test_what_was_settled_and_how_long_it_waited_is_counted(database_url: str) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
        await queue.push_many(some("a", "b", "c"))
        turn = await queue.turn(acks(await queue.pop_many(2)), 5)
        await queue.turn([Settlement(turn.jobs[0], "nack", 60.0)], 5)
    assert totals(database_url) == {"pushed": 3, "processed": 2, "failed": 0, "retried": 1}


async def test_a_turn_whose_answer_was_lost_is_done_once(server_url: str) -> None:
    """What it reserved comes with the second try at once, what it acked counts as acked."""
    port = sa.make_url(server_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        proxied = sa.make_url(server_url).set(port=proxy.port).render_as_string(hide_password=False)
        async with connect(server_url) as producer, connect(proxied) as queue:
            await producer.setup()
            await producer.push_many(some(*"abcd"))
            done = await queue.pop_many(2)
            cut = await asyncio.to_thread(proxy.cut_after, b"SET reserved_at = ")
            began = time.monotonic()
            turn = await queue.turn(acks(done), 5)
            assert cut.is_set()
            assert ([(job.id, job.attempts) for job in turn.jobs], turn.lost) == ([("c", 1), ("d", 1)], [])
            assert time.monotonic() - began < 1
            assert await queue.turn(acks(turn.jobs), 5) == ([], [])
    assert totals(server_url)["processed"] == 4


async def test_a_turn_that_fails_has_settled_nothing(queue: SQLQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("the disk is gone")

    await queue.push_many(some("a", "b"))
    a = await queue.pop()
    monkeypatch.setattr(queue._database, "claim", fail)
    with pytest.raises(DriverError):
        await queue.turn(acks([a]), 5)
    monkeypatch.undo()
    assert ids((await queue.turn(acks([a]), 5)).jobs) == ["b"]


async def test_a_cancelled_turn_gives_back_what_it_reserved_and_has_settled_the_rest(
    queue: SQLQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.push_many(some("a", "b"))
    a = await queue.pop()
    gate = Gate()
    run = queue._database.run

    def committed(link: Link, function: Callable[[Link], Any], mode: Mode) -> Any:
        result = run(link, function, mode)
        monkeypatch.undo()
        gate.hold(link)
        return result

    monkeypatch.setattr(queue._database, "run", committed)
    turn = asyncio.create_task(queue.turn(acks([a]), 5))
    await asyncio.to_thread(gate.reached.wait, 10)
    turn.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await turn
    (b,) = await queue.pop_many(5)
    assert (b.id, b.attempts) == ("b", 1)
    assert await queue.settle(acks([a])) == [a]


async def test_what_a_turn_acks_is_not_given_to_anybody_again(database_url: str) -> None:
    """Although it expired, and this turn is the first to look for that."""
    clock = ManualClock()
    async with SQLQueue(database_url, visibility_timeout=10, _clock=clock) as queue:
        await queue.setup()
        await queue.push_many(some("a", "b"))
        a = await queue.pop()
        clock.advance(11)
        turn = await queue.turn(acks([a]), 5)
        assert (ids(turn.jobs), turn.lost) == (["b"], [])


async def test_plans_stay_fixed_when_the_turn_that_fixed_them_was_rolled_back(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SQLQueue(postgres_url) as elsewhere, SQLQueue(postgres_url) as queue:
        await elsewhere.setup()
        await elsewhere.push_many(some("a", "b"))
        a = await elsewhere.pop()
        claim = queue._database.claim

        def claim_and_fail(link: Link, *args: Any) -> None:
            claim(link, *args)
            link.rows("SELECT 1 / 0", {})

        monkeypatch.setattr(queue._database, "claim", claim_and_fail)
        with pytest.raises(DriverError):
            await queue.turn([Settlement(a, "nack", 60.0)], 5)
        monkeypatch.undo()
        assert ids((await queue.turn([], 5)).jobs) == ["b"]
        show = queue._thread.run(lambda store: store.run(lambda link: link.rows("SHOW enable_seqscan", {}), Mode.READ))
        assert await show == [("off",)]
