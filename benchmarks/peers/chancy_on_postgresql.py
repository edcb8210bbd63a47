# /// script
# requires-python = ">=3.11"
# dependencies = ["chancy==0.26.0", "psycopg[binary]==3.3.9"]
# ///
"""Chancy with its executor for coroutines: claims in batches, writes what has ended once a second."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from chancy import Chancy, Job, Queue, Worker

from _peer import Peer, enough, main, seen


class ChancyPeer(Peer):
    package = "chancy"
    store = "postgresql"
    delivery = "at least once"
    enqueue_one = "chancy.push(job)"
    enqueue_bulk = "chancy.push_many() of 1000"
    drain = {
        f"concurrency={size}": f"Queue(concurrency={size}, executor=Async, eager_polling=True), async job; the clock runs until all are acknowledged"
        for size in (1000, 100)
    }
    latency = {"concurrency=100": "Queue(concurrency=100, executor=Async, eager_polling=True), LISTEN/NOTIFY (default)"}
    jobs = {"enqueue_one": 2_000, "enqueue_bulk": 10_000, "drain": 10_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.chancy = Chancy(self.settings.dsn, log=logging.getLogger("chancy"))
        await self.chancy.pool.open()
        if create:
            await self.chancy.migrate()

    async def close(self) -> None:
        await self.chancy.pool.close()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.chancy.push(self._job(payload))

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        async for _ in self.chancy.push_many([self._job(each) for each in payloads]):
            pass

    def _job(self, payload: dict[str, Any]) -> Job:
        return Job(func="_peer.handle_async", kwargs=payload)

    async def settle(self) -> None:
        async with self.chancy.pool.connection() as connection:
            await connection.execute("ANALYZE")

    async def work(self, variant: str) -> None:
        concurrency = int(variant.removeprefix("concurrency="))
        await self.chancy.declare(
            Queue("default", concurrency=concurrency, executor=Chancy.Executor.Async, eager_polling=True), upsert=True
        )
        last = enough()
        async with Worker(self.chancy, register_signal_handlers=False) as worker:
            await last.wait()
            await worker.flush()  # up to a second's worth of acknowledgements, which would otherwise cost nothing
            seen.last = perf_counter()


if __name__ == "__main__":
    main(ChancyPeer)
