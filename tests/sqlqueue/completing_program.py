"""The process that `test_completing_kill.py` kills: a worker whose handlers write an effect and complete their job."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

import sqlalchemy as sa

from lagoqueue import Worker, current_job
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect

INSERT = sa.text("INSERT INTO effects (number) VALUES (:number)")


def open_queue(url: str) -> SQLQueue:
    return SQLQueue(url, visibility_timeout=3, synchronous="normal" if url.startswith("sqlite") else None)


def worker_of(queue: SQLQueue, blocking: bool, warm: Connection | None = None) -> Worker:
    """Return a worker that tells through `warm` once its connections are open: after its first job."""
    worker = Worker(queue, concurrency=4, prefetch=4, max_retry=1000, backoff=0, poll=0.05)
    tell = [warm] if warm is not None else []

    async def handle(payload: Effect) -> None:
        async with queue.completing(current_job()) as connection:
            await connection.execute(INSERT, {"number": payload.number})
        if tell:
            tell.pop().send(True)

    def handle_blocking(payload: Effect) -> None:
        with queue.completing(current_job()) as connection:
            connection.execute(INSERT, {"number": payload.number})
        if tell:
            tell.pop().send(True)

    worker.handle(Effect, handle_blocking if blocking else handle)
    return worker


def work(url: str, blocking: bool, warm: Connection) -> None:
    """Work until killed."""

    async def run() -> None:
        async with open_queue(url) as queue:
            await worker_of(queue, blocking, warm).run()

    asyncio.run(run())
