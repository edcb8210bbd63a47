# /// script
# requires-python = ">=3.11"
# dependencies = ["pgqueuer==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0; sys_platform != 'win32'"]
# ///
"""PGQueuer on asyncpg, the quicker of its two drivers: claims and finishes jobs in batches, a task for each job."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job

from _peer import Peer, enough_of, handle_async, main

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop


class PGQueuer(Peer):
    package = "pgqueuer"
    store = "postgresql"
    delivery = "at least once"
    enqueue_one = "queries.enqueue(name, payload) on an asyncpg connection"
    enqueue_bulk = "queries.enqueue([names], [payloads], [priorities]) of 1000"
    drain = {
        f"batch_size={size}": f"PgQueuer.run(batch_size={size}), asyncpg, uvloop as its command line has it, no task limit"
        for size in (1000, 100)
    }
    latency = {"batch_size=10": "PgQueuer.run(), batch_size=10 (the default), asyncpg, uvloop, LISTEN/NOTIFY"}
    jobs = {"enqueue_one": 5_000, "enqueue_bulk": 100_000, "drain": 20_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.connection = await asyncpg.connect(self.settings.dsn)
        self.app = PgQueuer.from_asyncpg_connection(self.connection)
        if create:
            await self.app.queries.install()

    async def close(self) -> None:
        await self.connection.close()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.app.queries.enqueue("job", json.dumps(payload).encode())

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        count = len(payloads)
        await self.app.queries.enqueue(["job"] * count, [json.dumps(each).encode() for each in payloads], [0] * count)

    async def settle(self) -> None:
        await self.connection.execute("ANALYZE")

    async def work(self, variant: str) -> None:
        @self.app.entrypoint("job")
        async def job(job: Job) -> None:
            await handle_async(**json.loads(job.payload or b"{}"))

        worker = await enough_of(self.app.run(batch_size=int(variant.removeprefix("batch_size="))))
        self.app.shutdown.set()
        await worker


if __name__ == "__main__":
    main(PGQueuer, new_event_loop)
