"""SAQ on any of its stores: as many coroutines as its concurrency take a job each."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from saq import Queue, Worker

from _peer import Peer, enough_of, handle_async

CONCURRENCY = 100


async def job(_: object, **payload: Any) -> None:
    await handle_async(**payload)


class SAQ(Peer):
    package = "saq"
    delivery = "at least once"
    enqueue_one = "queue.enqueue(name, **arguments)"
    drain = {f"concurrency={CONCURRENCY}": f"Worker(concurrency={CONCURRENCY}), async function"}
    latency = {"concurrency=10": "Worker(concurrency=10) (the default), async function"}
    jobs = {"enqueue_one": 2_000, "drain": 2_000, "latency": 60}

    @property
    @abstractmethod
    def url(self) -> str: ...

    async def open(self, *, create: bool) -> None:
        self.queue = Queue.from_url(self.url)
        await self.queue.connect()  # makes the tables, where the store has any

    async def close(self) -> None:
        await self.queue.disconnect()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.queue.enqueue("job", **payload)

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        for begin in range(0, len(payloads), 10):
            await asyncio.gather(*[self.push(each) for each in payloads[begin : begin + 10]])

    async def work(self, variant: str) -> None:
        worker = Worker(self.queue, [("job", job)], concurrency=int(variant.removeprefix("concurrency=")))
        running = await enough_of(worker.start())
        worker.event.set()  # what its signal handler does
        await running
