"""`ManualClock`: nothing happens until the test says so, and then all of it in order."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from lagoqueue import InvalidValue, MemoryQueue, QueueEmpty
from lagoqueue.testing import ManualClock


def test_time_stands_still() -> None:
    clock = ManualClock(1_000.0)
    assert (clock.time(), clock.monotonic()) == (1_000.0, 0.0)
    assert clock.now() == datetime.fromtimestamp(1_000, UTC)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (1_002.5, 2.5)


def test_it_starts_at_the_present() -> None:
    assert abs((ManualClock().now() - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", None])
async def test_time_goes_forward_only(seconds: float) -> None:
    clock = ManualClock()
    with pytest.raises(InvalidValue):
        clock.advance(seconds)
    with pytest.raises(InvalidValue):
        await clock.elapse(seconds)
    assert clock.monotonic() == 0.0


async def test_timers_fire_in_order_at_their_own_time() -> None:
    clock = ManualClock()
    fired: list[tuple[str, float]] = []
    for name, when in (("c", 3.0), ("a", 1.0), ("b", 1.0), ("late", 10.0)):
        clock.call_at(when, lambda name=name: fired.append((name, clock.monotonic())))  # type: ignore[misc]
    clock.advance(0.5)
    assert fired == []
    clock.advance(4.5)
    assert fired == [("a", 1.0), ("b", 1.0), ("c", 3.0)]
    assert clock.monotonic() == 5.0
    clock.advance(5.0)
    assert fired[-1] == ("late", 10.0)


async def test_a_timer_set_by_a_timer_fires_on_the_same_way() -> None:
    clock = ManualClock()
    fired: list[float] = []

    def again() -> None:
        fired.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 1.0, again)

    clock.call_at(1.0, again)
    clock.advance(3.5)
    assert fired == [1.0, 2.0, 3.0]


async def test_a_cancelled_timer_does_not_fire() -> None:
    clock = ManualClock()
    fired: list[str] = []
    timer = clock.call_at(1.0, lambda: fired.append("cancelled"))
    clock.call_at(2.0, lambda: fired.append("kept"))
    due = clock.call_at(0.0, lambda: fired.append("due, but cancelled in time"))
    timer.cancel()
    due.cancel()
    await clock.elapse(5.0)
    assert fired == ["kept"]
    timer.cancel()


async def test_a_timer_that_is_due_fires_in_the_next_turn() -> None:
    clock = ManualClock()
    fired = asyncio.Event()
    clock.call_at(0.0, fired.set)
    assert not fired.is_set()
    await asyncio.wait_for(fired.wait(), 5)


async def test_elapse_lets_a_task_sleep_again_and_again() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleeper() -> None:
        for _ in range(3):
            wake = asyncio.Event()
            clock.call_at(clock.monotonic() + 1.0, wake.set)
            await wake.wait()
            woken.append(clock.monotonic())

    task = asyncio.create_task(sleeper())
    await clock.elapse(10.0)
    assert woken == [1.0, 2.0, 3.0]
    await task


async def test_a_pop_waits_in_manual_time() -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock=clock)
    task = asyncio.create_task(queue.pop(3_600))
    await clock.elapse(3_599)
    assert not task.done()
    await clock.elapse(1)
    with pytest.raises(QueueEmpty):
        await task


async def test_it_may_be_moved_from_another_thread() -> None:
    clock = ManualClock()
    loop_thread = threading.get_ident()
    called = asyncio.Event()
    threads: list[int] = []

    def callback() -> None:
        threads.append(threading.get_ident())
        called.set()

    clock.call_at(1.0, callback)
    await asyncio.to_thread(clock.advance, 2.0)
    await asyncio.wait_for(called.wait(), 5)
    assert threads == [loop_thread]
    assert await asyncio.to_thread(clock.monotonic) == 2.0


def test_a_timer_dies_with_its_loop() -> None:
    clock = ManualClock()
    fired: list[int] = []

    async def main() -> None:
        clock.call_at(1.0, lambda: fired.append(1))

    asyncio.run(main())
    clock.advance(2.0)
    assert fired == []
    assert clock.monotonic() == 2.0
