"""`MemoryQueue` beside `asyncio.Queue`: what delays, attempts, receipts and redelivery cost, and a worker's whole cycle."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from harness.sizes import Size, pick
from lagoqueue import Job, MemoryQueue, Worker, dispatch_many
from micro.timing import InLoop, Work


class SendWelcomeEmail(msgspec.Struct, frozen=True):
    """A payload as most are."""

    user_id: int


@pytest.fixture
def count(size: Size) -> int:
    """How many jobs."""
    return pick(size, full=50_000, quick=20_000, tiny=200)


def some_jobs(count: int) -> list[Job]:
    return [Job(str(number), "SendWelcomeEmail", b'{"user_id":42}') for number in range(count)]


async def asyncio_queue(count: int) -> Work:
    """Put, then get."""
    queue: asyncio.Queue[Job] = asyncio.Queue()
    jobs = some_jobs(count)

    async def work() -> None:
        for job in jobs:
            await queue.put(job)
        for _ in jobs:
            await queue.get()

    return work


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


async def deque_and_dict(count: int) -> Work:
    """Push, then pop and ack."""
    return by_hand(DequeAndDict(), count)


async def memory_queue(count: int) -> Work:
    """The same."""
    return by_hand(MemoryQueue(), count)


def by_hand(queue: DequeAndDict | MemoryQueue, count: int) -> Work:
    jobs = some_jobs(count)

    async def work() -> None:
        for job in jobs:
            await queue.push(job)
        for _ in jobs:
            await queue.ack(await queue.pop())

    return work


@pytest.mark.parametrize("queue", [asyncio_queue, deque_and_dict, memory_queue])
def bench_memory(in_loop: InLoop, queue: Callable[[int], Coroutine[Any, Any, Work]], count: int) -> None:
    """Everything in, then everything out."""
    in_loop(lambda: queue(count), count)


@pytest.mark.parametrize(("concurrency", "prefetch"), [(1, 0), (1, 100), (10, 100), (100, 100), (10, 490)])
def bench_cycle(in_loop: InLoop, count: int, concurrency: int, prefetch: int) -> None:
    """A worker from the first fetch to the last ack; dispatching is not counted."""

    async def prepare() -> Work:
        queue = MemoryQueue()
        worker = Worker(queue, concurrency=concurrency, prefetch=prefetch)

        @worker.handle(SendWelcomeEmail)
        async def send(payload: SendWelcomeEmail) -> None:
            pass

        await dispatch_many(queue, [SendWelcomeEmail(number) for number in range(count)])
        return lambda: worker.run(burst=True)

    in_loop(prepare, count)
