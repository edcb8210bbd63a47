"""The other processes of `test_processes.py`: `python program.py ROLE URL ...`."""

from __future__ import annotations

import asyncio
import os
import sys

from lagoqueue import Job, QueueEmpty, Worker, run_until_signal
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect


async def work(url: str, log: str, visibility_timeout: str) -> None:
    """Run the jobs until told to stop; each appends its number and this process's to the log."""
    effects = os.open(log, os.O_WRONLY | os.O_APPEND)
    async with SQLQueue(url, visibility_timeout=float(visibility_timeout), synchronous="normal") as queue:
        worker = Worker(queue, concurrency=8, prefetch=32, max_retry=20, poll=0.2, backoff=0.1)

        @worker.handle(Effect)
        async def effect(payload: Effect) -> None:
            os.write(effects, b"%d %d\n" % (payload.number, os.getpid()))

        print("ready", flush=True)
        await run_until_signal(worker)


async def contend(url: str, jobs: str) -> None:
    """Push, pop and settle one job at a time, as fast as the others let it."""
    async with SQLQueue(url, synchronous="normal") as queue:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(jobs)):
            await queue.push(Job(f"{os.getpid()}-{number}", "Example", b"{}"))
            job = await queue.pop(30)
            if number % 3 == 0:
                await queue.nack(job)
                job = await queue.pop(30)
            await queue.ack(job)
    print("done", flush=True)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    try:
        asyncio.run(work(*arguments) if role == "work" else contend(*arguments))
    except QueueEmpty as error:
        sys.exit(f"{role}: {error}")
