"""How long handlers run, and since when their jobs were due: what a driver and an observer get to count."""

from __future__ import annotations

from collections.abc import Sequence

from lagoqueue import Job, MemoryQueue, Observer, Queue, Settlement, Worker, current_job, dispatch
from lagoqueue.current import seconds_running
from lagoqueue.testing import ManualClock, drain
from tests.core.payloads import Resize


class Store(MemoryQueue):
    """A driver that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[Settlement] = []

    turn = Queue.turn  # by way of settle

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        self.settled += settlements
        return await super().settle(settlements)


class Seconds(Observer):
    """Keeps how long handlers ran."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def processed(self, job: Job, seconds: float) -> None:
        self.seen.append(seconds)


async def test_a_driver_is_told_how_long_the_handler_ran_of_a_job_that_is_done() -> None:
    store, seconds = Store(), Seconds()
    worker = Worker(store, max_retry=2, backoff=0)
    worker.observe(seconds)

    @worker.handle(Resize)
    async def resize(payload: Resize) -> None:
        if payload.width == 0:
            raise ValueError(payload.width)

    await dispatch(store, Resize(1))
    await dispatch(store, Resize(0))
    await drain(worker, raise_errors=False)
    told = [(settlement.action, settlement.seconds) for settlement in store.settled]
    (done,) = seconds.seen
    assert done > 0
    assert sorted(told, key=str) == sorted([("ack", done), ("nack", None), ("fail", None)], key=str)


async def test_a_handler_that_completes_its_job_can_say_how_long_it_has_run() -> None:
    seen: list[float | None] = []
    queue = MemoryQueue()
    worker = Worker(queue)

    @worker.handle(Resize)
    def resize(payload: Resize) -> None:
        job = current_job()
        seen.extend((seconds_running(job), seconds_running(job), seconds_running(Job("other", "Resize", b"{}"))))

    job = await dispatch(queue, Resize(1))
    await drain(worker)
    first, second, other = seen
    assert first is not None
    assert second is not None
    assert 0 < first <= second
    assert other is None
    assert seconds_running(job) is None  # outside of its handler


async def test_a_job_in_memory_says_since_when_it_is_due() -> None:
    clock = ManualClock()
    async with MemoryQueue(clock=clock) as queue:
        pushed_at = clock.now()
        await queue.push(Job("1", "Resize", b"{}"))
        clock.advance(5)
        job = await queue.pop()
        assert job.available_at == pushed_at
        await queue.nack(job, 10)
        clock.advance(12)
        assert (clock.now() - ((await queue.pop()).available_at or pushed_at)).total_seconds() == 2
