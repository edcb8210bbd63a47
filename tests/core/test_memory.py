"""What `MemoryQueue` does beyond the contract, which test_memory_contract.py checks."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from lagoqueue import InvalidValue, Job, MemoryQueue, QueueEmpty, dispatch, dispatch_sync
from lagoqueue._time import SystemClock, Timer
from lagoqueue.queue import Settlement
from lagoqueue.testing import ManualClock
from tests.core.payloads import Resize


def job(job_id: str, *, queue: str = "default", priority: int = 0) -> Job:
    return Job(job_id, "Resize", b"{}", queue=queue, priority=priority)


class Posing:
    """Has a job's class, as a proxy of a job has, and none of its fields."""

    __class__ = Job  # type: ignore[assignment]


async def test_pops_in_two_event_loops_each_get_their_job() -> None:
    queue = MemoryQueue()
    got: list[str] = []

    def other_loop() -> None:
        got.append(asyncio.run(queue.named("other").pop(20)).id)

    thread = threading.Thread(target=other_loop)
    thread.start()
    mine = asyncio.create_task(queue.pop(20))
    await asyncio.sleep(0.05)
    await queue.push(job("theirs", queue="other"))
    await queue.push(job("mine"))
    assert (await asyncio.wait_for(mine, 5)).id == "mine"
    await asyncio.to_thread(thread.join, 5)
    assert got == ["theirs"]


async def test_a_push_from_a_thread_wakes_a_waiting_pop_at_once() -> None:
    queue = MemoryQueue()
    waiting = asyncio.create_task(queue.pop(3600))
    await asyncio.sleep(0)
    await asyncio.to_thread(dispatch_sync, queue, Resize(1))
    assert (await asyncio.wait_for(waiting, 5)).attempts == 1


class CountingClock(SystemClock):
    """Counts the timers that are set."""

    def __init__(self) -> None:
        self.timers: list[float] = []

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(when - time.monotonic())
        return super().call_at(when, callback)


async def test_an_idle_pop_sets_one_timer_and_sleeps() -> None:
    clock = CountingClock()
    queue = MemoryQueue(clock=clock)
    with pytest.raises(QueueEmpty):
        await queue.pop(0.3)
    assert len(clock.timers) <= 2, "one, and another if it fired a hair early"
    assert 0.2 < clock.timers[0] <= 0.3


async def test_a_pop_wakes_for_a_delayed_job_that_was_pushed_while_it_slept() -> None:
    queue = MemoryQueue()
    waiting = [asyncio.create_task(queue.pop(60)) for _ in range(3)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await dispatch(queue, Resize(1), delay=0.2)
    done, rest = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    assert time.monotonic() - began >= 0.2
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)


async def test_a_sleeping_pop_gets_a_job_whose_reservation_expires() -> None:
    queue = MemoryQueue(visibility_timeout=0.2)
    await queue.push(job("1"))
    first = await queue.pop()
    second = await asyncio.wait_for(queue.pop(60), 10)
    assert (second.id, second.attempts) == (first.id, 2)
    assert second.receipt != first.receipt


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_wall_clock_that_is_set_moves_no_job_and_no_reservation(seconds: int) -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock=clock, visibility_timeout=10)
    await queue.push(job("reserved"))
    await queue.pop()
    await queue.push(job("due"))
    await queue.push(job("delayed"), delay=20)
    clock._start += seconds
    await queue.ack(await queue.pop())
    await queue.push(msgspec.structs.replace(job("at"), available_at=clock.now() + timedelta(seconds=4.5)))
    seen: list[tuple[str, int]] = []
    for elapsed in range(1, 22):
        clock.advance(1)
        with suppress(QueueEmpty):
            popped = await queue.pop()
            seen.append((popped.id, elapsed))
            await queue.ack(popped)
    assert seen == [("at", 5), ("reserved", 10), ("delayed", 20)]


async def test_waiting_shows_the_jobs_of_a_label_in_pop_order() -> None:
    queue = MemoryQueue(clock=ManualClock())
    await queue.push(job("later"), delay=60)
    await queue.push(job("low", priority=-5))
    await queue.push(job("first"))
    await queue.push(job("urgent", priority=9))
    await queue.push(job("elsewhere", queue="other"))
    assert [each.id for each in queue.waiting("default", 0, 10)] == ["urgent", "first", "later", "low"]
    assert [each.id for each in queue.waiting("default", 1, 2)] == ["first", "later"]
    assert queue.waiting("nowhere", 0, 10) == []
    assert [each.id for each in queue.jobs()] == ["later", "low", "first", "urgent", "elsewhere"]


async def test_a_drained_queue_keeps_nothing() -> None:
    queue = MemoryQueue()
    for number in range(100):
        await queue.push(job(str(number), queue=f"label-{number % 7}", priority=number % 5))
    for label in range(7):
        view = queue.named(f"label-{label}")
        for popped in await view.pop_many(100):
            await queue.ack(popped)
    assert queue.jobs() == []
    assert queue.depths() == []
    assert not queue._store.lines()


async def test_a_dropped_queue_is_collected() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Resize(1))
    await queue.pop()
    gone = weakref.ref(queue)
    del queue
    gc.collect()
    assert gone() is None


async def test_jobs_that_come_due_late_or_return_stand_among_those_that_were_due_at_once() -> None:
    clock = ManualClock()
    queue = MemoryQueue(visibility_timeout=100, clock=clock)
    await queue.push(job("expires"))
    assert (await queue.pop()).id == "expires"
    await queue.push(job("delayed"), delay=50)
    await queue.push(msgspec.structs.replace(job("past"), available_at=clock.now() - timedelta(hours=1)))
    clock.advance(20)
    await queue.push(job("at once"))
    clock.advance(40)
    await queue.push(job("later"))
    clock.advance(50)
    assert [each.id for each in await queue.pop_many(9)] == ["past", "expires", "at once", "delayed", "later"]


async def test_a_destructor_may_use_the_queue_whenever_it_runs() -> None:
    """The collector may run it in the middle of any operation, here of the ones that make jobs and lines."""
    queue = MemoryQueue()
    numbers = itertools.count()

    class Meddler:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            number = next(numbers)
            queue.push_sync(job(f"meddled-{number}", priority=number % 3))
            queue.depths()

    thresholds = gc.get_threshold()
    seen: list[str] = []
    try:
        gc.set_threshold(1)
        for number in range(300):
            Meddler()
            await queue.push(job(str(number), priority=number % 5))
            turn = await queue.turn([], 2)
            seen += [each.id for each in turn.jobs]
            assert await queue.settle([Settlement(each, "ack") for each in turn.jobs]) == []
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    while jobs := (await queue.turn([], 100)).jobs:
        seen += [each.id for each in jobs]
        for each in jobs:
            await queue.ack(each)
    assert len(seen) == len(set(seen)) == 300 + next(numbers)
    assert queue.depths() == []


async def test_jobs_that_threads_push_meanwhile_are_each_popped_once() -> None:
    queue = MemoryQueue()
    count = 2_000

    def push_some(name: str) -> None:
        for number in range(count):
            queue.push_sync(job(f"{name}-{number}", priority=number % 3))

    threads = [threading.Thread(target=push_some, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    settlements: list[Settlement] = []
    while len(seen) < 3 * count:
        jobs = (await queue.turn(settlements, 7)).jobs or await queue.pop_many(7, 20)
        settlements = [Settlement(each, "ack") for each in jobs]
        seen += [each.id for each in jobs]
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
    assert len(set(seen)) == len(seen)
    assert (await queue.turn(settlements, 1)) == ([], [])
    assert queue.jobs() == []


async def test_the_instant_of_a_job_is_the_clocks_to_the_microsecond() -> None:
    for start in (
        -62_135_596_800.0,
        -2_203_891_200.5,
        -0.000_001,
        0.0,
        951_782_399.999_999_4,
        951_868_800.5,
        1_709_210_096.123_456_5,
        4_107_542_399.999_999_7,
    ):
        clock = ManualClock(start)
        queue = MemoryQueue(clock=clock)
        await queue.push(job("1"))
        assert (await queue.pop()).available_at == clock.now()


async def test_only_jobs_are_taken() -> None:
    queue: Any = MemoryQueue()
    with pytest.raises(TypeError, match="str"):
        await queue.push("job")
    with pytest.raises(TypeError, match="str"):
        await queue.ack("job")
    with pytest.raises(TypeError, match="str"):
        await queue.settle(["job"])
    for posing in (Mock(spec=Job), Posing()):  # isinstance takes them for jobs
        with pytest.raises(TypeError, match=type(posing).__name__):
            await queue.push(posing)
        with pytest.raises(TypeError, match=type(posing).__name__):
            await queue.ack(posing)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon"])
def test_a_bad_visibility_timeout_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidValue, match="visibility_timeout"):
        MemoryQueue(visibility_timeout=timeout)
