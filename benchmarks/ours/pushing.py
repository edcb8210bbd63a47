"""lagoqueue pushes: one job at a time, many, in the caller's transaction, and from many connections at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from harness.script import Ready, Settings, clock, main, together
from lagoqueue import QueueEmpty, dispatch, dispatch_many
from ours.opening import PAYLOAD, open_queue


async def enqueue_one(settings: Settings) -> Any:
    """Awaited one by one, or as many at once as `concurrent` says."""
    each = settings["jobs"] // settings.get("concurrent", 1)
    async with open_queue(settings) as queue:
        await queue.setup()

        async def some() -> None:
            for _ in range(each):
                await dispatch(queue, PAYLOAD)

        start = clock()
        await asyncio.gather(*(some() for _ in range(settings.get("concurrent", 1))))
        return {"jobs": settings["jobs"], "seconds": clock() - start}


async def enqueue_bulk(settings: Settings) -> Any:
    """1,000 jobs at a time."""
    async with open_queue(settings) as queue:
        await queue.setup()
        payloads = [PAYLOAD] * 1_000
        start = clock()
        for _ in range(settings["jobs"] // 1_000):
            await dispatch_many(queue, payloads)
        return {"jobs": settings["jobs"], "seconds": clock() - start}


async def enqueue_session(settings: Settings) -> Any:
    """Each in a transaction of an AsyncSession: by lagoqueue, or by an INSERT of the same row that the caller wrote."""
    async with open_queue(settings) as queue:
        await queue.setup()
        engine = create_async_engine(settings["dsn"].replace("postgresql", "postgresql+psycopg"))
        session_of = async_sessionmaker(engine)
        by_hand = sa.text(
            "INSERT INTO jobs (id, queue, priority, name, attempts, available_at, headers, payload) VALUES (:id,"
            " 'default', 0, 'SendWelcomeEmail', 0, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint, '{}', :payload)"
        )
        start = clock()
        for number in range(settings["jobs"]):
            async with session_of() as session:
                if settings["variant"] == "by hand":
                    await session.execute(by_hand, {"id": f"{number:036d}", "payload": b'{"user_id":42}'})
                else:
                    await dispatch(queue.within(session), PAYLOAD)
                await session.commit()
        seconds = clock() - start
        await engine.dispose()
        return {"jobs": settings["jobs"], "seconds": seconds}


def producers(settings: Settings) -> Any:
    """Sixteen connections push one by one, four in each of four processes, while a process waits for jobs."""
    return asyncio.run(push_and_wait(settings))


async def push_and_wait(settings: Settings) -> Any:
    async with open_queue(settings) as queue:
        await queue.setup()
        waiting = asyncio.create_task(wait_elsewhere(queue))  # it listens, so that waking has somebody to wake
        await asyncio.sleep(0.1)
        times = await asyncio.to_thread(together, push_some, settings, 4, lambda: None)
        waiting.cancel()
        seconds = max(end for _, end in times) - min(start for start, _ in times)
        return {"jobs": settings["jobs"], "seconds": seconds}


async def wait_elsewhere(queue: Any) -> None:
    while True:
        with suppress(QueueEmpty):
            await queue.pop(10.0, labels=["elsewhere"])


def push_some(settings: Settings, ready: Ready) -> tuple[float, float]:
    return asyncio.run(push_from_four(settings, ready))


async def push_from_four(settings: Settings, ready: Ready) -> tuple[float, float]:
    queues = [open_queue(settings) for _ in range(4)]
    for queue in queues:
        await queue.size()  # connects

    async def some(queue: Any) -> None:
        for _ in range(settings["jobs"] // 16):
            await dispatch(queue, PAYLOAD)

    ready()
    start = clock()
    await asyncio.gather(*map(some, queues))
    end = clock()
    for queue in queues:
        await queue.close()
    return start, end


if __name__ == "__main__":
    main(enqueue_one, enqueue_bulk, enqueue_session, producers)
