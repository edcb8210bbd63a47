"""Pinned horizon: how a queue in PostgreSQL fares while an old transaction keeps vacuum from its dead rows.

A repeatable-read transaction is held open while jobs go through, as a long report or a forgotten session
would. The plain claim of most queues, which begins at the first entry of its index, walks past the
entries of all jobs done since. The same loop without the old transaction shows what is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import psycopg

from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table, Target
from lagoqueue import Job, Settlement
from lagoqueue_sql import SQLQueue
from servers import PostgreSQL

BATCH = 10
BACKLOG = 200
PINNED = "an old transaction held open"

Step = Callable[[int], Awaitable[float]]
"""Pushes, claims and settles one batch, numbered; returns the seconds that the claim took."""


@dataclass
class Outcome:
    """How one loop went.

    Attributes:
        name: What it was.
        claims: Seconds of every claim, in order.
        seconds: The whole run.
    """

    name: str
    claims: list[float]
    seconds: float

    @property
    def first(self) -> float:
        """Median milliseconds of a claim in the first twentieth."""
        return median(self.claims[: max(1, len(self.claims) // 20)]) * 1000

    @property
    def last(self) -> float:
        """Median milliseconds of a claim in the last twentieth."""
        return median(self.claims[-max(1, len(self.claims) // 20) :]) * 1000

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return len(self.claims) * BATCH / self.seconds


PLAIN_TABLE = """
    DROP TABLE IF EXISTS plain;
    CREATE TABLE plain (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea NOT NULL,
        available_at timestamptz NOT NULL DEFAULT statement_timestamp(), reserved_at timestamptz);
    CREATE INDEX plain_waiting ON plain (available_at, seq) WHERE reserved_at IS NULL"""
PLAIN_PUSH = "INSERT INTO plain (payload) SELECT '{}' FROM generate_series(1, %s)"
PLAIN_CLAIM = """
    UPDATE plain SET reserved_at = statement_timestamp() WHERE seq = ANY(ARRAY(
        SELECT seq FROM plain WHERE reserved_at IS NULL AND available_at <= statement_timestamp()
        ORDER BY available_at, seq LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING seq, payload"""
PLAIN_ACK = "DELETE FROM plain WHERE seq = ANY(%s)"


async def plain(url: str, run: Callable[[Step], Awaitable[Outcome]]) -> Outcome:
    """Run the claim that most queues make, on psycopg alone."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=1) as connection:
        await connection.execute(PLAIN_TABLE)
        await connection.execute(PLAIN_PUSH, [BACKLOG])

        async def step(number: int) -> float:
            await connection.execute(PLAIN_PUSH, [BATCH])
            began = perf_counter()
            rows = await (await connection.execute(PLAIN_CLAIM, [BATCH])).fetchall()
            seconds = perf_counter() - began
            await connection.execute(PLAIN_ACK, [[seq for seq, _ in rows]])
            return seconds

        return await run(step)


async def lagoqueue(url: str, run: Callable[[Step], Awaitable[Outcome]]) -> Outcome:
    """Run `SQLQueue`."""
    async with SQLQueue(url, wakeup="poll") as queue:
        await queue.setup()
        await queue.push_many([Job(f"backlog-{number}", "Example", b"{}") for number in range(BACKLOG)])

        async def step(number: int) -> float:
            await queue.push_many([Job(f"{number}-{each}", "Example", b"{}") for each in range(BATCH)])
            began = perf_counter()
            jobs = await queue.pop_many(BATCH)
            seconds = perf_counter() - began
            await queue.settle([Settlement(job, "ack") for job in jobs])
            return seconds

        return await run(step)


async def measure(server: PostgreSQL, name: str, subject: Subject, jobs: int, pinned: bool) -> Outcome:
    """Run one subject on a database of its own, with or without an old transaction."""
    url = server.create_database()
    plain_url = url.replace("postgresql+psycopg", "postgresql")
    holder = psycopg.connect(plain_url)

    async def run(step: Step) -> Outcome:
        if pinned:
            holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT 1")
        began = perf_counter()
        claims = [await step(number) for number in range(jobs // BATCH)]
        return Outcome(name, claims, perf_counter() - began)

    try:
        return await subject(plain_url, run)
    finally:
        holder.close()
        server.drop_database(url)


Subject = Callable[[str, Callable[[Step], Awaitable[Outcome]]], Awaitable[Outcome]]


async def measure_all(server: PostgreSQL, jobs: int, plain_jobs: int) -> list[Outcome]:
    plainly = f"plain claim, {plain_jobs:,} jobs"
    return [
        await measure(server, "lagoqueue", lagoqueue, jobs, pinned=False),
        await measure(server, f"lagoqueue, {PINNED}", lagoqueue, jobs, pinned=True),
        await measure(server, plainly, plain, plain_jobs, pinned=False),
        await measure(server, f"{plainly}, {PINNED}", plain, plain_jobs, pinned=True),
    ]


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure throughput, and claims at the beginning and the end; the plain claim does fewer jobs, since it gets slow."""
    jobs, plain_jobs = pick(size, full=(200_000, 40_000), quick=(8_000, 4_000), tiny=(400, 400))
    outcomes = asyncio.run(measure_all(stores.postgresql_server, jobs, plain_jobs))
    title = f"PostgreSQL, pinned horizon: {jobs:,} jobs, pushed, claimed and settled {BATCH} at a time"
    rates = Table("pinned_rate", title, "jobs/s")
    claims = Table(
        "pinned_claim", f"{title}: a claim", "ms", note="first and last: the medians of a twentieth of all claims"
    )
    for each in outcomes:
        held, ours = each.name.endswith(PINNED), each.name.startswith("lagoqueue")
        free = each.name.removesuffix(f", {PINNED}")
        rates.rows.append(Row(each.name, [each.rate], free if held else None, Target(0.8) if held and ours else None))
        first, last = f"{each.name}: first", f"{each.name}: last"
        claims.rows.append(Row(first, [each.first]))
        claims.rows.append(Row(last, [each.last], first, Target(1.3, most=True) if held and ours else None))
    yield rates
    yield claims
