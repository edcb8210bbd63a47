# /// script
# requires-python = ">=3.11"
# dependencies = ["procrastinate==3.10.0", "psycopg[binary]==3.3.9"]
# ///
"""Procrastinate: fetches and finishes each job with a function call in the database; concurrency overlaps them."""

from __future__ import annotations

import asyncio
from typing import Any

from procrastinate import App, PsycopgConnector

from _peer import Peer, enough_of, handle, handle_async, main

CONCURRENCY = 10


class Procrastinate(Peer):
    package = "procrastinate"
    store = "postgresql"
    delivery = "at least once"
    enqueue_one = "task.defer_async() on an open App"
    enqueue_bulk = "task.batch_defer_async() of 1000"
    drain = {
        "async": f"run_worker_async, concurrency={CONCURRENCY}, async task, delete_jobs=always",
        "sync": f"run_worker_async, concurrency={CONCURRENCY}, sync task in asyncio's threads, delete_jobs=always",
    }
    latency = {"async": f"run_worker_async, concurrency={CONCURRENCY}, async task, LISTEN/NOTIFY (the default)"}
    jobs = {"enqueue_one": 2_000, "enqueue_bulk": 20_000, "drain": 1_500, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.app = App(connector=PsycopgConnector(conninfo=self.settings.dsn))
        sync = self.settings.variant == "sync"
        self.task = self.app.task(name="job", pass_context=False)(handle if sync else handle_async)
        await self.app.open_async()
        if create:
            await self.app.schema_manager.apply_schema_async()

    async def close(self) -> None:
        await self.app.close_async()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.task.defer_async(**payload)

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        await self.task.batch_defer_async(*payloads)

    async def settle(self) -> None:
        await self.app.connector.execute_query_async("ANALYZE")

    async def work(self, variant: str) -> None:
        worker = await enough_of(
            self.app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="always", install_signal_handlers=False)
        )
        worker.cancel()  # which lets it end its jobs
        await asyncio.gather(worker, return_exceptions=True)


if __name__ == "__main__":
    main(Procrastinate)
