"""`MemoryQueue` beside `asyncio.Queue`: what delays, attempts, receipts and redelivery cost, and a worker's whole cycle."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from _harness import Subject, Table, compare, main
from lagoqueue import Job, MemoryQueue, Worker, dispatch_many


@dataclass(frozen=True)
class SendWelcomeEmail:
    user_id: int


def per_job(work: Callable[[int], Awaitable[float]], jobs: int) -> Subject:
    """Return a subject that runs `work`, which returns the seconds it took, in a loop of its own."""
    return lambda: asyncio.run(_timed(work, jobs)) * 1e9 / jobs


async def _timed(work: Callable[[int], Awaitable[float]], jobs: int) -> float:
    return await work(jobs)


def some_jobs(count: int) -> list[Job]:
    return [Job(str(number), "SendWelcomeEmail", b'{"user_id":42}') for number in range(count)]


async def asyncio_queue(count: int) -> float:
    queue: asyncio.Queue[Job] = asyncio.Queue()
    jobs = some_jobs(count)
    start = time.perf_counter()
    for job in jobs:
        await queue.put(job)
    for _ in jobs:
        await queue.get()
    return time.perf_counter() - start


class DequeAndDict:
    """The least that can be acknowledged: no delays, no attempts, no waiting."""

    def __init__(self) -> None:
        self.ready: deque[Job] = deque()
        self.reserved: dict[str, Job] = {}

    async def push(self, job: Job) -> None:
        self.ready.append(job)

    async def pop(self) -> Job:
        job = self.ready.popleft()
        self.reserved[job.id] = job
        return job

    async def ack(self, job: Job) -> None:
        del self.reserved[job.id]


async def by_hand(queue: DequeAndDict | MemoryQueue, count: int) -> float:
    jobs = some_jobs(count)
    start = time.perf_counter()
    for job in jobs:
        await queue.push(job)
    for _ in jobs:
        await queue.ack(await queue.pop())
    return time.perf_counter() - start


def cycle(concurrency: int, prefetch: int) -> Callable[[int], Awaitable[float]]:
    """Return the work of a worker from the first fetch to the last ack; dispatching is not counted."""

    async def work(count: int) -> float:
        queue = MemoryQueue()
        worker = Worker(queue, concurrency=concurrency, prefetch=prefetch)

        @worker.handle(SendWelcomeEmail)
        async def send(payload: SendWelcomeEmail) -> None:
            pass

        await dispatch_many(queue, [SendWelcomeEmail(number) for number in range(count)])
        start = time.perf_counter()
        await worker.run(burst=True)
        return time.perf_counter() - start

    return work


def run(quick: bool) -> list[Table]:
    jobs, rounds = (5_000, 5) if quick else (50_000, 9)
    queues = compare(
        f"Memory queue, awaited one by one: {jobs:,} pushes, then as many pops and acks",
        [
            ("asyncio.Queue put+get", per_job(asyncio_queue, jobs)),
            ("deque and dict, push+pop+ack", per_job(lambda count: by_hand(DequeAndDict(), count), jobs)),
            ("MemoryQueue push+pop+ack", per_job(lambda count: by_hand(MemoryQueue(), count), jobs)),
        ],
        rounds,
    )
    cycles = compare(
        f"A worker's full cycle per job, {jobs:,} jobs, awaited no-op handler: fetch, decode, run, settle, report",
        [
            ("asyncio.Queue put+get", per_job(asyncio_queue, jobs)),
            ("Worker, concurrency 1", per_job(cycle(1, 0), jobs)),
            ("Worker, concurrency 1, prefetch 100", per_job(cycle(1, 100), jobs)),
            ("Worker, concurrency 10, prefetch 100", per_job(cycle(10, 100), jobs)),
            ("Worker, concurrency 100, prefetch 100", per_job(cycle(100, 100), jobs)),
        ],
        rounds,
    )
    return [queues, cycles]


if __name__ == "__main__":
    main(run)
