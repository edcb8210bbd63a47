"""A program with a worker, which the process tests run: prints what happens, line by line."""

from __future__ import annotations

import asyncio
import sys

from lagoqueue import MemoryQueue, Worker, dispatch_sync, run_until_signal
from tests.core.payloads import Resize

queue = MemoryQueue()
worker = Worker(queue, grace=30)


@worker.handle(Resize)
async def resize(payload: Resize) -> None:
    print("started", payload.width, flush=True)
    try:
        await asyncio.sleep(payload.width / 10)
    except asyncio.CancelledError:
        print("cancelled", payload.width, flush=True)
        raise
    print("finished", payload.width, flush=True)


def make_worker() -> Worker:
    dispatch_sync(queue, Resize(0))
    return worker


async def main(width: int) -> None:
    dispatch_sync(queue, Resize(width))
    await run_until_signal(worker)
    print("returned", [job.attempts for job in queue.jobs()], flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
