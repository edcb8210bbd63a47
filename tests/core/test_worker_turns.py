"""What a worker asks of its store, and when: claims and settlements share their round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lagoqueue import DriverError, Job, MemoryQueue, OutcomeUnknown, Queue, Settlement, Turn, Worker, dispatch_many
from lagoqueue import dispatch as dispatch_one
from lagoqueue.queue import NamedQueue
from tests.core.payloads import Resize
from tests.core.recorder import Recorder


class Noting(NamedQueue):
    """Notes each call of its worker: its name, how many it settles, and how many it claims."""

    def __init__(self) -> None:
        self.store = MemoryQueue()
        super().__init__(self.store, ("default",))
        self.turns_at_once = 2
        self.calls: list[tuple[str, int, int]] = []
        self.claims_for_one = asyncio.Event()

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        self.calls.append(("pop", 0, limit))
        if limit == 1:
            self.claims_for_one.set()
        return await super().pop_many(limit, wait, labels=labels)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        self.calls.append(("settle", len(settlements), 0))
        return await super().settle(settlements)

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        self.calls.append(("turn", len(settlements), limit))
        return await self.take_turn(settlements, limit)

    async def take_turn(self, settlements: Sequence[Settlement], limit: int) -> Turn:
        return await super().turn(settlements, limit)


class Gated(Noting):
    """Its turns begin, and then wait to be let through."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.second_begun, self.let_through = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take_turn(self, settlements: Sequence[Settlement], limit: int) -> Turn:
        (self.second_begun if self.begun.is_set() else self.begun).set()
        await self.let_through.wait()
        return await super().take_turn(settlements, limit)


async def no_op(payload: Resize) -> None: ...


async def test_a_strict_worker_takes_one_round_trip_a_job() -> None:
    queue = Noting()
    worker = Worker(queue)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(5)])
    await worker.run(burst=True)
    assert queue.calls == [("pop", 0, 1), *[("turn", 1, 1)] * 5, ("pop", 0, 1)]


async def test_batches_are_full_while_there_is_work() -> None:
    queue = Noting()
    worker = Worker(queue, prefetch=200)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(1000)])
    await worker.run(burst=True)
    turns = [settled for name, settled, _ in queue.calls if name == "turn"]
    assert len(queue.calls) < 50  # a thousand jobs; a slot that has run for 5 ms lets the loop have its turn
    assert min(turns[:-2]) >= 100


async def test_a_lone_job_is_settled_at_once_while_a_claim_waits_for_others() -> None:
    queue = Noting()
    recorder = Recorder()
    worker = Worker(queue, concurrency=2, poll=3600, observers=[recorder])
    let_it_end, ended = asyncio.Event(), asyncio.Event()
    recorder.processed = lambda job, seconds: ended.set()  # type: ignore[method-assign]

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        await let_it_end.wait()

    await dispatch_one(queue, Resize(1))
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(queue.claims_for_one.wait(), 10)
    let_it_end.set()
    await asyncio.wait_for(ended.wait(), 10)
    assert queue.store.jobs() == []
    assert queue.calls == [("pop", 0, 2), ("pop", 0, 1), ("settle", 1, 0)]
    worker.stop()
    await asyncio.wait_for(task, 10)


async def test_what_ends_while_a_turn_is_under_way_goes_with_the_next() -> None:
    queue = Gated()
    worker = Worker(queue, concurrency=5)
    leave: asyncio.Queue[None] = asyncio.Queue()
    left: list[int] = []
    all_left = asyncio.Event()

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        await leave.get()
        left.append(payload.width)
        if len(left) == 5:
            all_left.set()

    await dispatch_many(queue, [Resize(n) for n in range(5)])
    task = asyncio.create_task(worker.run(burst=True))
    leave.put_nowait(None)
    await asyncio.wait_for(queue.begun.wait(), 10)
    for _ in range(4):
        leave.put_nowait(None)
    await asyncio.wait_for(all_left.wait(), 10)
    queue.let_through.set()
    await asyncio.wait_for(task, 10)
    assert [call for call in queue.calls if call[0] == "turn"] == [("turn", 1, 1), ("turn", 4, 5)]


async def test_slots_run_on_while_a_turn_is_under_way() -> None:
    queue = Gated()
    worker = Worker(queue, prefetch=10)
    ran: list[int] = []

    @worker.handle(Resize)
    async def note(payload: Resize) -> None:
        ran.append(payload.width)
        if len(ran) == 11:  # all that were claimed before the turn
            queue.let_through.set()

    await dispatch_many(queue, [Resize(n) for n in range(20)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert ran == list(range(20))


class Slow(Noting):
    """Its turns take a while, one after another as over one connection. Notes how many are under way, and what is held."""

    def __init__(self) -> None:
        super().__init__()
        self._connection = asyncio.Lock()
        self.under_way, self.most_under_way = 0, 0
        self.held, self.most_held = 0, 0

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        jobs = await super().pop_many(limit, wait, labels=labels)
        self._hold(len(jobs))
        return jobs

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        lost = await super().settle(settlements)
        self._hold(-len(settlements))
        return lost

    async def take_turn(self, settlements: Sequence[Settlement], limit: int) -> Turn:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            async with self._connection:
                for _ in range(5):
                    await asyncio.sleep(0)
                turn = await super().take_turn(settlements, limit)
                self._hold(len(turn.jobs) - len(settlements))
                return turn
        finally:
            self.under_way -= 1

    def _hold(self, more: int) -> None:
        self.held += more
        self.most_held = max(self.most_held, self.held)


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_a_worker_that_may_hold_many_has_the_next_turn_wait_behind_the_one_under_way(concurrency: int) -> None:
    queue = Slow()
    worker = Worker(queue, concurrency=concurrency, prefetch=200 - concurrency)
    ran: list[int] = []

    @worker.handle(Resize)
    async def note(payload: Resize) -> None:
        ran.append(payload.width)

    await dispatch_many(queue, [Resize(n) for n in range(1000)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert ran == list(range(1000))
    assert queue.most_under_way == 2
    assert queue.most_held == 200
    assert [call for call in queue.calls if call[0] == "turn"][:8] == [("turn", 100, 100)] * 8


async def test_a_worker_that_may_hold_few_takes_one_turn_at_a_time() -> None:
    queue = Slow()
    worker = Worker(queue, concurrency=10, prefetch=20)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(200)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert queue.most_under_way == 1


async def test_a_driver_for_which_it_does_not_pay_gets_one_turn_at_a_time() -> None:
    queue = Slow()
    queue.turns_at_once = 1
    worker = Worker(queue, prefetch=199)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(1000)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert queue.most_under_way == 1


@pytest.mark.parametrize("failing", [{1}, {2}, {1, 2}, {2, 4, 5}])
async def test_of_two_turns_one_may_fail(failing: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    class FailsAtTimes(Slow):
        async def take_turn(self, settlements: Sequence[Settlement], limit: int) -> Turn:
            number = sum(name == "turn" for name, _, _ in self.calls)
            await asyncio.sleep(0)
            if number in failing:
                raise DriverError("connection lost")
            return await super().take_turn(settlements, limit)

    monkeypatch.setattr("lagoqueue.settler._FIRST_PAUSE", 0.001)
    queue = FailsAtTimes()
    recorder = Recorder()
    worker = Worker(queue, prefetch=199, observers=[recorder])
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(1000)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names().count("processed") == 1000
    assert queue.most_held == 200
    assert queue.store.jobs() == []


async def test_stop_lets_two_turns_end_and_gives_back_what_they_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lagoqueue.slots._TURN", 60.0)  # else a slow moment ends the first turn's batch early
    queue = Gated()
    worker = Worker(queue, prefetch=199)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(400)])
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(queue.second_begun.wait(), 10)
    worker.stop()
    await asyncio.sleep(0)
    queue.let_through.set()
    await asyncio.wait_for(task, 10)
    assert [job.attempts for job in queue.store.jobs()] == [0] * 200
    assert await queue.size() == 200


async def test_stop_lets_a_turn_end_and_gives_back_what_it_brought() -> None:
    queue = Gated()
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(1), Resize(2)])
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(queue.begun.wait(), 10)
    worker.stop()
    await asyncio.sleep(0)
    queue.let_through.set()
    await asyncio.wait_for(task, 10)
    assert [(job.attempts, job.receipt is None or await queue.size()) for job in queue.store.jobs()] == [(0, 1)]
    assert recorder.names() == ["started", "processed", "released"]


@pytest.mark.parametrize("error", [DriverError("connection lost"), OutcomeUnknown("gone"), RuntimeError("a bug")])
async def test_a_turn_that_fails_loses_no_settlement(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class FailsOnce(Noting):
        async def take_turn(self, settlements: Sequence[Settlement], limit: int) -> Turn:
            if sum(name == "turn" for name, _, _ in self.calls) == 1:
                raise error
            return await super().take_turn(settlements, limit)

    monkeypatch.setattr("lagoqueue.settler._FIRST_PAUSE", 0.001)
    queue = FailsOnce()
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(1), Resize(2)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"] * 2
    assert queue.calls[1:3] == [("turn", 1, 1), ("settle", 1, 0)]
    assert queue.store.jobs() == []


async def test_a_driver_with_the_queues_own_turn_serves_as_well() -> None:
    class Plain(MemoryQueue):
        turn = Queue.turn

    queue = Plain()
    recorder = Recorder()
    worker = Worker(queue, concurrency=3, prefetch=3, observers=[recorder])
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(20)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names().count("processed") == 20
    assert queue.jobs() == []


class Wrong(Noting):
    """Gives something else than jobs, as only a driver with a bug does."""

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        return 5  # type: ignore[return-value]


async def test_a_bug_in_a_driver_ends_the_worker_and_is_told() -> None:
    worker = Worker(Wrong())
    worker.handle(Resize, no_op)
    with pytest.raises(TypeError):
        await asyncio.wait_for(worker.run(), 5)


class WithTuples(Noting):
    """Gives its jobs in another sequence than a list."""

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        return tuple(await super().pop_many(limit, wait, labels=labels))  # type: ignore[return-value]


async def test_claimed_jobs_may_come_in_any_sequence() -> None:
    queue = WithTuples()
    worker = Worker(queue)
    worker.handle(Resize, no_op)
    await dispatch_many(queue, [Resize(n) for n in range(3)])
    await asyncio.wait_for(worker.run(burst=True), 5)
    assert queue.store.jobs() == []
