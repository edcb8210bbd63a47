"""The thread that owns the connection: cancellation, closing, other threads and forks."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lagoqueue import Job, QueueClosed, QueueEmpty, dispatch_sync
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from lagoqueue_sql.store import Store
from tests.sqlqueue.gate import Gate
from tests.sqlqueue.payloads import Effect, connect
from tests.sqlqueue.processes import each_database

JOB = Job("a", "Example", b"{}")

database_url = each_database("sqlite", "postgresql", "mariadb")


async def test_a_pop_cancelled_before_it_ran_claims_nothing(queue: SQLQueue) -> None:
    await queue.push(JOB)
    gate = Gate()
    holding = gate.holding(queue)
    popping = asyncio.create_task(queue.pop())
    await asyncio.to_thread(gate.reached.wait, 10)
    popping.cancel()
    gate.open.set()
    await holding
    with pytest.raises(asyncio.CancelledError):
        await popping
    job = await queue.pop()
    assert job.attempts == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_pop_cancelled_after_its_claim_gives_back_job_and_attempt(
    queue: SQLQueue, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Early: while the claim runs in the thread. Late: the outcome is on its way to the loop."""
    await queue.push(JOB)
    gate = Gate()
    run = queue._database.run

    def committed(link: Link, function: Callable[[Link], Any], mode: Mode) -> Any:
        result = run(link, function, mode)
        if not late:
            monkeypatch.undo()
            gate.hold(link)
        return result

    if late:
        popping = asyncio.create_task(queue.pop())
        await asyncio.sleep(0)  # the call is in the thread's hands
        while queue._thread._calls.qsize() or not await _claimed_elsewhere(queue):
            pass  # the loop itself gets no turn between the claim and the cancellation
    else:
        monkeypatch.setattr(queue._database, "run", committed)
        popping = asyncio.create_task(queue.pop())
        await asyncio.to_thread(gate.reached.wait, 10)
    popping.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await popping
    job = await queue.pop()
    assert (job.id, job.attempts) == ("a", 1)


async def _claimed_elsewhere(queue: SQLQueue) -> bool:
    """Look with a connection of this thread's own, without a turn of the loop."""
    link = queue._database.open()
    try:
        return bool(link.rows("SELECT count(*) FROM jobs WHERE reserved_at IS NOT NULL", {})[0][0] == 1)
    finally:
        queue._database.close(link)


async def test_an_outcome_does_not_wait_for_the_call_behind_it(database_url: str) -> None:
    """On PostgreSQL it is told once the server is at work on the next, elsewhere before that begins."""
    async with connect(database_url) as queue:
        await queue.setup()
        gate, behind = Gate(), Gate()

        def hold(link: Link) -> None:
            link.rows("SELECT 1", {})
            behind.hold(link)

        holding = gate.holding(queue)
        first = asyncio.create_task(queue.push_many([JOB]))
        second = asyncio.create_task(queue._thread.run(lambda store: store.run(hold, Mode.READ)))
        await asyncio.to_thread(gate.reached.wait, 10)
        gate.open.set()
        assert await asyncio.wait_for(first, 5) == 1
        await asyncio.to_thread(behind.reached.wait, 10)
        assert not second.done()
        behind.open.set()
        await asyncio.gather(holding, second)


async def test_what_is_put_off_is_done_in_order_and_harms_nobody(
    queue: SQLQueue, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def put_off(store: Store) -> None:
        store.later(partial(done.append, "later"))
        store.later(lambda: 1 / 0)
        store.later(partial(done.append, "last"))
        store.later(partial(done.append, "urgent"), urgent=True)

    with caplog.at_level("ERROR", "lagoqueue.sql"):
        await asyncio.gather(queue._thread.run(put_off), queue.push(JOB))
        await queue.size()
    assert done == ["urgent", "later", "last"]
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_what_a_loop_that_was_closed_had_claimed_is_given_back(database_url: str) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
        gate = Gate()

        async def claim_and_leave() -> None:
            claiming = asyncio.ensure_future(queue.pop_many(1))
            asyncio.get_running_loop().call_soon(claiming.get_loop().stop)
            await claiming

        def in_a_loop_of_its_own() -> None:
            loop = asyncio.new_event_loop()
            leaving = loop.create_task(claim_and_leave())
            loop.run_forever()
            leaving._log_destroy_pending = False  # type: ignore[attr-defined]  # it is what this is about
            loop.close()

        await queue.push(JOB)
        holding = gate.holding(queue)
        await asyncio.to_thread(gate.reached.wait, 10)
        await asyncio.to_thread(in_a_loop_of_its_own)
        assert queue._thread._calls.qsize() == 1
        gate.open.set()
        await holding
        job = await queue.pop(5)
        assert (job.id, job.attempts) == ("a", 1)


async def test_close_ends_waiting_pops_and_later_calls(queue: SQLQueue) -> None:
    popping = asyncio.create_task(queue.pop(30))
    await asyncio.sleep(0.05)
    await queue.close()
    await queue.close()
    for operation in (popping, queue.push(JOB), queue.size(), queue.failed_jobs.count(), queue.setup()):
        with pytest.raises(QueueClosed):
            await operation
    with pytest.raises(QueueClosed):
        queue.push_sync(JOB)


async def test_close_does_first_what_was_asked_of_it_before(queue: SQLQueue, url: str) -> None:
    pushing = asyncio.create_task(queue.push(JOB))
    await asyncio.sleep(0)
    await queue.close()
    assert await pushing
    async with SQLQueue(url) as again:
        assert await again.size() == 1


async def test_a_queue_that_was_never_used_closes_too(url: str) -> None:
    await SQLQueue(url).close()


async def test_the_thread_outlives_whatever_a_function_raises(queue: SQLQueue) -> None:
    def broken(link: Link) -> None:
        link.run("DELETE FROM jobs")
        raise SystemExit(3)

    await queue.push(JOB)
    with pytest.raises(SystemExit):
        await queue._thread.run(lambda store: store.run(broken, Mode.ATOMIC))
    assert await queue.size() == 1  # rolled back, and still there to say so


async def test_a_queue_that_is_dropped_ends_its_thread(url: str) -> None:
    queue = SQLQueue(url)
    await queue.setup()
    thread = queue._thread._thread
    assert thread is not None
    gone = weakref.ref(queue)
    del queue
    for _ in range(200):  # the thread lets go of what it did last a moment after that was awaited
        gc.collect()
        if gone() is None:
            break
        await asyncio.sleep(0.01)
    assert gone() is None
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_any_thread_and_any_loop_may_use_it(queue: SQLQueue) -> None:
    def elsewhere(number: int) -> None:
        asyncio.run(_push(queue, number))
        assert queue.named("mail").push_sync(Job(f"s{number}", "Example", b"{}"))

    await asyncio.gather(*[asyncio.to_thread(elsewhere, number) for number in range(4)])
    assert await queue.size() == 4
    assert await queue.size(labels=["mail"]) == 4


async def _push(queue: SQLQueue, number: int) -> None:
    await queue.push(Job(f"a{number}", "Example", b"{}"))


async def test_a_push_from_a_thread_wakes_a_waiting_pop(queue: SQLQueue) -> None:
    popping = asyncio.create_task(queue.pop(30))
    await asyncio.sleep(0.02)
    job = await asyncio.to_thread(dispatch_sync, queue, Effect(1))
    assert (await popping).id == job.id


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_forked_child_opens_its_own_connection(queue: SQLQueue) -> None:
    await queue.push(JOB)
    child = await asyncio.to_thread(_fork_and_push, queue)
    assert child == 0
    assert await queue.push(Job("c", "Example", b"{}"))
    assert sorted(job.id for job in await queue.pop_many(9)) == ["a", "b", "c"]
    with pytest.raises(QueueEmpty):
        await queue.pop()


def _fork_and_push(queue: SQLQueue) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            queue.push_sync(Job("b", "Example", b"{}"))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
