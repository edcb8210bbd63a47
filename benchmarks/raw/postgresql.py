"""The least that PostgreSQL must do for a job, on psycopg: what the figures of queues are measured against.

No name, attempts, headers, priorities, receipts, expiry or failed jobs; nothing is decoded and no handler is called.
One connection, one cursor, every statement prepared.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from harness.locks import Locks
from harness.script import WARM_UP, Ready, Settings, beside, clock, main, together

PAYLOAD = b'{"user_id":42}'
SCHEMA = """
    CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue text NOT NULL, payload bytea NOT NULL,
        available_at timestamptz NOT NULL DEFAULT now(), reserved_at timestamptz);
    CREATE INDEX waiting ON jobs (queue, available_at, id) WHERE reserved_at IS NULL"""
INSERT = "INSERT INTO jobs (queue, payload) VALUES ('default', %b) RETURNING id"
INSERT_AND_NOTIFY = (
    "WITH one AS (INSERT INTO jobs (queue, payload) VALUES ('default', %b)) SELECT pg_notify('jobs', '')"
)
UNNEST = "INSERT INTO jobs (queue, payload) SELECT 'default', unnest(%b::bytea[]) RETURNING id"
COPY = "COPY jobs (queue, payload) FROM STDIN"
FILL = "INSERT INTO jobs (queue, payload) SELECT 'default', %b FROM generate_series(1, %s)"
NEXT = """
    SELECT id FROM jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= now()
    ORDER BY available_at, id LIMIT {k} FOR UPDATE SKIP LOCKED"""
UPDATE = "UPDATE jobs SET reserved_at = now() FROM next WHERE jobs.id = next.id RETURNING jobs.id, jobs.payload"
CLAIM = f"WITH next AS MATERIALIZED ({NEXT}) {UPDATE}"
ACK = "DELETE FROM jobs WHERE id = ANY(%s::bigint[])"
TURN = f"WITH acked AS ({ACK}), next AS MATERIALIZED ({NEXT}) {UPDATE}"


async def connect(dsn: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)


async def set_up(dsn: str, jobs: int = 0) -> None:
    async with await connect(dsn) as connection:
        await connection.execute(SCHEMA, prepare=False)
        await connection.execute(FILL, [PAYLOAD, jobs])
        await connection.execute("ANALYZE jobs")


# --- Pushing --------------------------------------------------------------------------------------


async def enqueue_one(settings: Settings) -> Any:
    await set_up(settings["dsn"])
    async with await connect(settings["dsn"]) as connection, connection.cursor(binary=True) as cursor:
        start = clock()
        for _ in range(settings["jobs"]):
            await cursor.execute(INSERT, [PAYLOAD])
            await cursor.fetchone()
        return {"jobs": settings["jobs"], "seconds": clock() - start}


async def enqueue_bulk(settings: Settings) -> Any:
    """COPY, or the INSERT that returns ids, of 1,000 jobs at a time."""
    await set_up(settings["dsn"])
    async with await connect(settings["dsn"]) as connection, connection.cursor() as cursor:
        start = clock()
        for _ in range(settings["jobs"] // 1_000):
            if settings["variant"] == "copy":
                async with cursor.copy(COPY) as copy:
                    for _ in range(1_000):
                        await copy.write_row(("default", PAYLOAD))
            else:
                await cursor.execute(UNNEST, [[PAYLOAD] * 1_000])
                await cursor.fetchall()
        return {"jobs": settings["jobs"], "seconds": clock() - start}


async def enqueue_session(settings: Settings) -> Any:
    """A transaction of an AsyncSession for each job."""
    await set_up(settings["dsn"])
    engine = create_async_engine(settings["dsn"].replace("postgresql", "postgresql+psycopg"))
    session_of = async_sessionmaker(engine)
    insert = sa.text("INSERT INTO jobs (queue, payload) VALUES ('default', :payload) RETURNING id")
    start = clock()
    for _ in range(settings["jobs"]):
        async with session_of() as session:
            await session.execute(insert, {"payload": PAYLOAD})
            await session.commit()
    seconds = clock() - start
    await engine.dispose()
    return {"jobs": settings["jobs"], "seconds": seconds}


# --- Draining -------------------------------------------------------------------------------------


def drain(settings: Settings) -> Any:
    """Claim k and delete them until none are left, in one statement a turn or in two; from the first claim to the last ack."""
    asyncio.run(set_up(settings["dsn"], settings["jobs"]))
    if settings.get("processes", 1) == 1:
        start, end = draining(settings, lambda: None)
        return {"jobs": settings["jobs"], "seconds": end - start}
    with Locks(settings["dsn"]) as locks:
        times = together(draining, settings, settings["processes"], locks.look)
    seconds = max(end for _, end in times) - min(start for start, _ in times)
    return {"jobs": settings["jobs"], "seconds": seconds} | locks.shares()


def draining(settings: Settings, ready: Ready) -> tuple[float, float]:
    return asyncio.run((one_statement if settings["variant"] == "one" else two_statements)(settings, ready))


async def one_statement(settings: Settings, ready: Ready) -> tuple[float, float]:
    turn = TURN.format(k=settings["k"]).encode()
    async with await connect(settings["dsn"]) as connection, connection.cursor(binary=True) as cursor:
        ready()
        start, done = clock(), "{}"
        while True:
            await cursor.execute(turn, [done])
            rows = await cursor.fetchall()
            if not rows:
                return start, clock()
            done = "{" + ",".join([str(id) for id, _ in rows]) + "}"


async def two_statements(settings: Settings, ready: Ready) -> tuple[float, float]:
    claim = CLAIM.format(k=settings["k"]).encode()
    async with await connect(settings["dsn"]) as connection, connection.cursor(binary=True) as cursor:
        ready()
        start = clock()
        while True:
            await cursor.execute(claim)
            rows = await cursor.fetchall()
            if not rows:
                return start, clock()
            await cursor.execute(ACK, ["{" + ",".join([str(id) for id, _ in rows]) + "}"])


# --- Waiting --------------------------------------------------------------------------------------


async def latency(settings: Settings) -> Any:
    """One idle process inserts and notifies; another listens and claims on one connection."""
    await set_up(settings["dsn"])
    claim = CLAIM.format(k=1).encode()
    latencies: list[float] = []
    async with await connect(settings["dsn"]) as connection, connection.cursor(binary=True) as cursor:
        await cursor.execute("LISTEN jobs", prepare=False)
        with beside(insert_now_and_then, settings):
            while len(latencies) < WARM_UP + settings["jobs"]:
                async for _ in connection.notifies(timeout=1.0, stop_after=1):
                    pass
                await cursor.execute(claim)
                for id, payload in await cursor.fetchall():
                    latencies.append((clock() - float(payload)) * 1000)
                    await cursor.execute(ACK, [f"{{{id}}}"])
    return {"latencies_ms": latencies[WARM_UP:]}


def insert_now_and_then(settings: Settings) -> None:
    with psycopg.connect(settings["dsn"], autocommit=True, prepare_threshold=0) as connection:
        for _ in range(WARM_UP + settings["jobs"]):
            time.sleep(random.uniform(*settings["gap"]))
            connection.execute(INSERT_AND_NOTIFY, [repr(clock()).encode()])


if __name__ == "__main__":
    main(enqueue_one, enqueue_bulk, enqueue_session, drain, latency)
