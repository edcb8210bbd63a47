"""What a worker process takes on PostgreSQL: memory, idle and busy, processor time when idle, and time to start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from harness.script import Settings, clock, main
from lagoqueue import Worker
from ours.opening import SendWelcomeEmail, open_queue


def resident(pid: int | str = "self") -> float:
    """Return the megabytes of memory that a process has; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6


async def idle(settings: Settings) -> Any:
    """Wait for jobs that do not come."""
    async with open_queue(settings) as queue:
        await queue.setup()
        worker = Worker(queue, concurrency=settings["concurrency"], prefetch=settings.get("prefetch", 0))
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)  # it has connected by then
        began, processor = clock(), time.process_time()
        await asyncio.sleep(settings["seconds"])
        percent = 100 * (time.process_time() - processor) / (clock() - began)
        worker.stop()
        await running
        return {"percent": percent, "megabytes": resident()}


async def busy(settings: Settings) -> Any:
    """Work off what is there; the most memory that is seen meanwhile."""
    most, left = 0.0, settings["jobs"]
    async with open_queue(settings) as queue:
        worker = Worker(queue, concurrency=settings["concurrency"], prefetch=settings.get("prefetch", 0))

        @worker.handle(SendWelcomeEmail)
        async def send(payload: SendWelcomeEmail) -> None:
            nonlocal most, left
            left -= 1
            if left % 1_000 == 0:
                most = max(most, resident())
            if left == 0:
                worker.stop()

        await worker.run()
    return {"megabytes": most}


async def first_job(settings: Settings) -> Any:
    """Run the one job that waits; how long after `since`, when this process was asked for, its handler starts."""
    started = 0.0
    async with open_queue(settings) as queue:
        worker = Worker(queue)

        @worker.handle(SendWelcomeEmail)
        async def send(payload: SendWelcomeEmail) -> None:
            nonlocal started
            started = clock()
            worker.stop()

        await worker.run()
    return {"milliseconds": (started - settings["since"]) * 1000}


if __name__ == "__main__":
    main(idle, busy, first_job)
