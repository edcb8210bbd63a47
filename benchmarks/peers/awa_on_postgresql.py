# /// script
# requires-python = ">=3.11"
# dependencies = ["awa-pg==0.6.9"]
# ///
"""Awa: a Rust core that keeps jobs in segments of tables, and calls Python handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from awa import AsyncClient
from awa import Job as AwaJob

from _peer import Peer, enough, handle_async, main

CONNECTIONS = 24
"""For one queue, by its documentation: 4 for each, and 20."""


@dataclass
class Job:
    user_id: int
    sent: float | None = None


class Awa(Peer):
    package = "awa-pg"
    store = "postgresql"
    delivery = "at least once"
    enqueue_one = "client.insert(job)"
    enqueue_bulk = "client.enqueue_many_copy() of 1000"
    drain = {
        f"workers={workers}": f"AsyncClient.start([(queue, {workers})]), queue storage, async task, {CONNECTIONS} connections"
        for workers in (256, 64)
    }
    latency = {"workers=64": f"AsyncClient.start([(queue, 64)]), queue storage, async task, {CONNECTIONS} connections"}
    jobs = {"enqueue_one": 1_500, "enqueue_bulk": 100_000, "drain": 10_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.client = AsyncClient(self.settings.dsn, max_connections=CONNECTIONS)
        if create:
            await self.client.migrate()
            await self.client.install_queue_storage(schema="awa")

    async def close(self) -> None:
        await self.client.close()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.client.insert(Job(**payload))

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        await self.client.enqueue_many_copy([Job(**each) for each in payloads])

    async def settle(self) -> None:
        async with await self.client.transaction() as transaction:
            await transaction.execute("ANALYZE")

    async def work(self, variant: str) -> None:
        @self.client.task(Job)
        async def job(job: AwaJob[Job]) -> None:
            await handle_async(job.args.user_id, job.args.sent)

        last = enough()
        await self.client.start([("default", int(variant.removeprefix("workers=")))])
        await last.wait()
        await self.client.shutdown()


if __name__ == "__main__":
    main(Awa)
