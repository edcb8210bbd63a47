"""lagoqueue empties a full queue with no-op handlers: the whole worker, from the first claim to the last ack."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from harness.locks import Locks
from harness.script import Ready, Settings, clock, main, together
from lagoqueue import Job, Queue, Settlement, Turn, Worker, dispatch_many
from lagoqueue.queue import NamedQueue
from ours.opening import PAYLOAD, SendWelcomeEmail, open_queue


class Clocked(NamedQueue):
    """A view that notes when the first claim began and when the last settling for good so far ended; it costs nothing a job."""

    def __init__(self, queue: Queue, settled: Callable[[int], None]) -> None:
        super().__init__(queue, queue.labels)
        self._settled = settled
        self.began: float | None = None
        self.ended = 0.0

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        self._begin()
        return await super().pop_many(limit, wait, labels=labels)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        lost = await super().settle(settlements)
        self._end(settlements)
        return lost

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        self._begin()
        turn = await super().turn(settlements, limit, labels=labels)
        self._end(settlements)
        return turn

    def _begin(self) -> None:
        if self.began is None:
            self.began = clock()

    def _end(self, settlements: Sequence[Settlement]) -> None:
        ended = sum([settlement.action in ("ack", "fail") for settlement in settlements])
        if ended:
            self.ended = clock()
            self._settled(ended)


def drain(settings: Settings) -> Any:
    """Fill the queue, then let one worker in each of some processes empty it."""
    asyncio.run(fill(settings))
    processes = settings.get("processes", 1)
    shared = settings | {"left": multiprocessing.get_context("spawn").Value("q", settings["jobs"])}
    if processes == 1:
        start, end, processor = draining(shared, lambda: None)
        return {"jobs": settings["jobs"], "seconds": end - start, "processor_seconds": processor}
    with Locks(settings["dsn"]) as locks:
        results = together(draining, shared, processes, locks.look)
    seconds = max(end for _, end, _ in results) - min(start for start, _, _ in results)
    return {"jobs": settings["jobs"], "seconds": seconds} | locks.shares()


async def fill(settings: Settings) -> None:
    async with open_queue(settings) as queue:
        await queue.setup()
        for start in range(0, settings["jobs"], 1_000):
            await dispatch_many(queue, [PAYLOAD] * min(1_000, settings["jobs"] - start))
    if settings.get("dsn", "").startswith("postgresql"):
        with psycopg.connect(settings["dsn"], autocommit=True) as connection:
            connection.execute("ANALYZE jobs")


def draining(settings: Settings, ready: Ready) -> tuple[float, float, float]:
    return asyncio.run(run_worker(settings, ready))


async def run_worker(settings: Settings, ready: Ready) -> tuple[float, float, float]:
    """Run a worker until all processes together have settled every job; return its clock and its processor time."""
    left = settings["left"]

    def settled(jobs: int) -> None:
        with left.get_lock():
            left.value -= jobs
        if left.value <= 0:
            worker.stop()

    async def stop_with_the_others() -> None:
        while left.value > 0:  # noqa: ASYNC110 - it is shared with other processes
            await asyncio.sleep(0.02)
        worker.stop()

    async with open_queue(settings) as queue:
        await queue.size()  # connects
        clocked = Clocked(queue, settled)
        worker = Worker(clocked, concurrency=settings["concurrency"], prefetch=settings.get("prefetch", 0), backoff=0)
        worker.handle(SendWelcomeEmail, HANDLERS[settings.get("handler", "async")])
        ready()
        processor = time.process_time()
        others = asyncio.create_task(stop_with_the_others())
        await worker.run()
        await others
        assert clocked.began is not None
        return clocked.began, clocked.ended, time.process_time() - processor


async def awaited(payload: SendWelcomeEmail) -> None:
    """Do nothing, in a coroutine."""


def in_a_thread(payload: SendWelcomeEmail) -> None:
    """Do nothing, in the slot's thread."""


async def one_in_ten_fails(payload: SendWelcomeEmail) -> None:
    """Fail now and then, so that the job is run again."""
    if random.random() < 0.1:
        raise ValueError("one in ten")


HANDLERS: dict[str, Any] = {"async": awaited, "thread": in_a_thread, "failing": one_in_ten_fails}


async def turns(settings: Settings) -> Any:
    """Empty the queue by hand, in turns of k jobs: the driver without a worker."""
    await fill(settings)
    async with open_queue(settings) as queue:
        await queue.size()  # connects
        done: list[Settlement] = []
        start = clock()
        while True:
            jobs, _ = await queue.turn(done, settings["k"])
            if not jobs:
                return {"jobs": settings["jobs"], "seconds": clock() - start}
            done = [Settlement(job, "ack") for job in jobs]


if __name__ == "__main__":
    main(drain, turns)
