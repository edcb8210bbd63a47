"""lagoqueue starts what comes: from a process that pushes to the handlers of another, in idleness, under load, and when due."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.script import WARM_UP, Settings, beside, clock, main
from lagoqueue import Worker, dispatch, dispatch_many
from lagoqueue.job import Job
from lagoqueue_sql import SQLQueue
from ours.opening import Sent, open_queue

TICK = 0.01


async def latency(settings: Settings) -> Any:
    """One idle process dispatches now and then; from before the dispatch to the start of the handler in another."""
    answer = await received(settings | {"jobs": WARM_UP + settings["jobs"]}, dispatch_now_and_then)
    return {"latencies_ms": answer["latencies_ms"][WARM_UP:]}


async def steady(settings: Settings) -> Any:
    """One process dispatches `rate` jobs a second, in batches each hundredth of a second; likewise."""
    return await received(settings, dispatch_steadily)


async def received(settings: Settings, sender: Any) -> Any:
    """Work off what another process sends, and return how long each job took to get here."""
    latencies: list[float] = []
    async with open_queue(settings) as queue:
        await queue.setup()
        worker = Worker(queue, concurrency=settings["concurrency"], prefetch=settings.get("prefetch", 0))

        @worker.handle(Sent)
        async def receive(payload: Sent) -> None:
            latencies.append((clock() - payload.at) * 1000)
            if len(latencies) == settings["jobs"]:
                worker.stop()

        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0.2)  # it waits for jobs by then
        with beside(sender, settings):
            await running
    return {"latencies_ms": latencies}


def dispatch_now_and_then(settings: Settings) -> None:
    async def send() -> None:
        async with open_queue(settings) as queue:
            await queue.size()  # connects
            for _ in range(settings["jobs"]):
                await asyncio.sleep(random.uniform(*settings["gap"]))
                await dispatch(queue, Sent(clock()))

    asyncio.run(send())


def dispatch_steadily(settings: Settings) -> None:
    async def send() -> None:
        async with open_queue(settings) as queue:
            await queue.size()  # connects
            sent, start = 0, clock()
            while sent < settings["jobs"]:
                due = min(settings["jobs"], int((clock() - start) * settings["rate"]) + 1)
                await dispatch_many(queue, [Sent(clock())] * (due - sent))
                sent = due
                await asyncio.sleep(TICK)

    asyncio.run(send())


async def delayed(settings: Settings) -> Any:
    """Jobs that come due evenly, `rate` a second: how late their handlers start."""
    late: list[float] = []
    async with open_queue(settings) as queue:
        await queue.setup()
        first = datetime.now(UTC) + timedelta(seconds=2 + settings["jobs"] / 20_000)
        for begin in range(0, settings["jobs"], 1_000):
            await push_due(queue, first, settings["rate"], range(begin, min(begin + 1_000, settings["jobs"])))
        filled = datetime.now(UTC)
        worker = Worker(queue, concurrency=settings["concurrency"], prefetch=settings.get("prefetch", 0))

        @worker.handle(Sent)
        async def receive(payload: Sent) -> None:
            late.append((datetime.now(UTC).timestamp() - payload.at) * 1000)
            if len(late) == settings["jobs"]:
                worker.stop()

        assert filled < first, "the jobs came due before the last was pushed"
        await worker.run()
    return {"latencies_ms": late}


async def push_due(queue: SQLQueue, first: datetime, rate: float, numbers: range) -> None:
    jobs: list[Job] = []
    for number in numbers:
        due = first + timedelta(seconds=number / rate)
        payload = f'{{"at":{due.timestamp()!r}}}'.encode()
        jobs.append(Job(f"due-{number}", "Sent", payload, available_at=due))
    await queue.push_many(jobs)


if __name__ == "__main__":
    main(latency, steady, delayed)
