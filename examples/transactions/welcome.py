"""The job, and the worker that runs it: `python -m transactions.welcome URL`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import sqlalchemy as sa

from lagoqueue import Worker, current_job, run_until_signal
from lagoqueue_sql import SQLQueue


@dataclass(frozen=True)
class SendWelcomeEmail:
    address: str


def make_worker(queue: SQLQueue) -> Worker:
    """Return a worker that notes each mail in the table `outbox`, and ends the job in that same transaction."""
    worker = Worker(queue)

    @worker.handle(SendWelcomeEmail)
    async def send(payload: SendWelcomeEmail) -> None:
        async with queue.completing(current_job()) as connection:
            await connection.execute(
                sa.text("INSERT INTO outbox (address) VALUES (:address)"), {"address": payload.address}
            )

    return worker


async def main(url: str) -> None:
    async with SQLQueue(url) as queue:
        await queue.setup()
        await run_until_signal(make_worker(queue))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
