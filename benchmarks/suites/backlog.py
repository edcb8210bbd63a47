"""What a claim in PostgreSQL costs beside many jobs: in the same line, delayed, under other labels, or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import psycopg

from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table, Target
from lagoqueue import Job, Settlement, new_id
from lagoqueue_sql import SQLQueue

BATCH = 100
SHALLOW = 1_000

JOBS = """
    INSERT INTO jobs (id, queue, priority, name, attempts, available_at, headers, payload)
    SELECT 'job-' || n, {queue}, 0, 'SendWelcomeEmail', 0,
        (extract(epoch FROM now()) * 1e6)::bigint - {jobs} + n + {delay}, '{{}}', '{{"user_id":42}}'
    FROM generate_series(1, {jobs}) AS n"""
FAILED = """
    INSERT INTO failed_jobs (id, queue, priority, name, attempts, failed_at, kind, error, headers, payload, traceback)
    SELECT 'failed-' || n, 'default', 0, 'SendWelcomeEmail', 3, n, 'TimeoutError', 'no answer', '{{}}', '{{"user_id":42}}', ''
    FROM generate_series(1, {jobs}) AS n"""
HOUR = 3_600_000_000


@dataclass
class Place:
    """A queue, and what one claim in it took, in milliseconds, in each of the rounds."""

    name: str
    queue: SQLQueue
    claims: list[float] = field(default_factory=list)


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Claim in turns from queues that hold different things."""
    many = pick(size, full=1_000_000, quick=100_000, tiny=2_000)
    reps, rounds = pick(size, full=(30, 7), quick=(15, 3), tiny=(1, 1))
    beside = {
        f"{SHALLOW:,} waiting": "",
        f"{many:,} waiting": JOBS.format(queue="'default'", jobs=many, delay=0),
        f"{SHALLOW:,} waiting, {many:,} delayed beside": JOBS.format(queue="'default'", jobs=many, delay=HOUR),
        f"{SHALLOW:,} waiting, {many:,} of ten other queues beside": JOBS.format(
            queue="'queue-' || n % 10", jobs=many, delay=0
        ),
        f"{SHALLOW:,} waiting, {many:,} failed beside": FAILED.format(jobs=many),
    }
    table = Table(
        "backlog",
        f"PostgreSQL: a claim of {BATCH} from a backlog",
        "ms",
        note="after each claim its jobs are settled and as many pushed; the five queues take turns",
    )
    shallow, deep = list(beside)[:2]
    for place in asyncio.run(measure(stores, beside, reps, rounds)):
        target = None if place.name == shallow else Target(1.2 if place.name == deep else 1.1, most=True)
        table.rows.append(Row(place.name, place.claims, None if target is None else shallow, target, str(reps)))
    yield table


async def measure(stores: Stores, beside: dict[str, str], reps: int, rounds: int) -> list[Place]:
    async with AsyncExitStack() as open_queues:
        databases = open_queues.enter_context(ExitStack())
        places: list[Place] = []
        for name, statement in beside.items():
            dsn = databases.enter_context(stores.postgresql())["dsn"]
            queue = await open_queues.enter_async_context(SQLQueue(dsn, wakeup="poll"))
            await queue.setup()
            with psycopg.connect(dsn, autocommit=True) as connection:
                if statement:
                    connection.execute(statement.encode())
                await queue.push_many(some_jobs(SHALLOW))
                connection.execute("VACUUM ANALYZE")
            places.append(Place(name, queue))
        for number in range(-1, rounds):  # the first round warms up
            for place in places:
                milliseconds = median([await claim(place.queue) for _ in range(reps)])
                if number >= 0:
                    place.claims.append(milliseconds)
        return places


async def claim(queue: SQLQueue) -> float:
    began = perf_counter()
    jobs = await queue.pop_many(BATCH)
    milliseconds = (perf_counter() - began) * 1000
    assert len(jobs) == BATCH, f"claimed {len(jobs)}"
    await queue.settle([Settlement(job, "ack") for job in jobs])
    await queue.push_many(some_jobs(BATCH))
    return milliseconds


def some_jobs(count: int) -> list[Job]:
    return [Job(new_id(), "SendWelcomeEmail", b'{"user_id":42}') for _ in range(count)]
