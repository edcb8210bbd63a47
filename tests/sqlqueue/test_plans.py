"""The plans of the statements that run all the time: from an index, never sorted, and never the whole table."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lagoqueue import Job, Settlement
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.dialects.postgresql import FIXED_PLANS

VALUES: dict[str, Any] = {
    "batch": json.dumps([{"q": "default", "i": "a", "s": 1, "r": "x", "d": 1, "b": 0}]),
    "levels": json.dumps([{"q": "default", "p": 0, "f": 0, "s": 0}]),
    "queue": "default",
    "priority": 0,
    "floor": 0,
    "floor_seq": 0,
    "limit": 100,
    "now": 5,
    "since": 0,
    "timeout": 9,
    "receipt": "r",
    "worker": None,
    "id": "a",
    "seq": 1,
    "i": "a",
    "s": 1,
    "r": "x",
    "expected": 1,
}


def sqlite_plan(queue: SQLQueue, path: Path, statement: str, part: int = 0) -> list[str]:
    text = getattr(queue._sql, statement).split(";")[part]
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", VALUES).fetchall()
    finally:
        connection.close()
    return [detail for _, _, _, detail in rows]


@pytest.mark.parametrize("statement", ["claim", "look", "size"])
async def test_sqlite_looks_and_claims_in_the_index_of_waiting_jobs_alone(
    queue: SQLQueue, path: Path, statement: str
) -> None:
    steps = sqlite_plan(queue, path, statement)
    assert not [step for step in steps if "TEMP B-TREE" in step]
    tables = [
        step
        for step in steps
        if step.startswith(("SCAN", "SEARCH")) and not step.endswith(" level") and "VIRTUAL TABLE" not in step
    ]
    assert tables
    for step in tables:
        assert "USING COVERING INDEX ix_jobs_waiting (queue=?" in step or "USING INTEGER PRIMARY KEY" in step


@pytest.mark.parametrize(
    ("statement", "part"), [("claim", 1), ("reclaim", 0), ("give_back", 0), ("release_orphans", 0)]
)
async def test_sqlite_finds_reservations_in_an_index_of_their_own(
    queue: SQLQueue, path: Path, statement: str, part: int
) -> None:
    (step,) = sqlite_plan(queue, path, statement, part)
    assert "INDEX ix_jobs_reserved" in step


@pytest.mark.parametrize("statement", ["ack", "put_back", "extend", "bury", "outcome"])
async def test_sqlite_settles_a_batch_by_primary_key(queue: SQLQueue, path: Path, statement: str) -> None:
    steps = sqlite_plan(queue, path, statement)
    assert not [step for step in steps if step.startswith("SCAN") and "batch" not in step]
    assert [step for step in steps if "USING INTEGER PRIMARY KEY (rowid=?)" in step]


async def test_sqlite_does_not_sort_a_page_of_failed_jobs(queue: SQLQueue, path: Path) -> None:
    connection = sqlite3.connect(path)
    values = {"limit": 50, "first": 9}
    rows = connection.execute(f"EXPLAIN QUERY PLAN {queue._sql.failed_page}", values).fetchall()
    connection.close()
    assert [detail for _, _, _, detail in rows if "TEMP B-TREE" in detail] == []
    assert "SEARCH failed_jobs USING INTEGER PRIMARY KEY (rowid<?)" in [detail for _, _, _, detail in rows]


async def test_postgresql_reads_indexes_and_sorts_nothing(postgres_url: str) -> None:
    async with SQLQueue(postgres_url, wakeup="poll") as queue:
        await queue.setup()
        await queue.push_many([Job(f"{n}", "Example", b"{}", priority=n % 3) for n in range(5000)])
        await queue.pop_many(100)
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("ANALYZE")
            for statement, index in {
                "claim": "ix_jobs_waiting",
                "turn": "ix_jobs_waiting",
                "look": "ix_jobs_waiting",
                "reclaim": "ix_jobs_reserved",
                "release_orphans": "ix_jobs_reserved",
                "ack": "jobs_pkey",
                "put_back": "jobs_pkey",
                "extend": "jobs_pkey",
                "bury": "jobs_pkey",
                "outcome": "jobs_pkey",
            }.items():
                rows = connection.execute(f"EXPLAIN {getattr(queue._sql, statement)}".encode(), VALUES).fetchall()
                plan = "\n".join(line for (line,) in rows)
                assert f"Seq Scan on {queue._schema.jobs.name}" not in plan, plan
                assert "Sort" not in plan, plan
                assert index in plan, plan


async def test_postgresql_compares_no_row_with_each_of_a_batch(postgres_url: str) -> None:
    """Even where the statistics are of a table that was nearly empty, and had nothing reserved."""
    async with SQLQueue(postgres_url, wakeup="poll") as queue:
        await queue.setup()
        await queue.push_many([Job(f"{n}", "Example", b"{}") for n in range(5000)])
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("DELETE FROM jobs WHERE seq > 4")
            connection.execute("VACUUM ANALYZE jobs")
            connection.execute(FIXED_PLANS)
            for statement in ("turn", "ack", "put_back", "extend", "bury"):
                rows = connection.execute(f"EXPLAIN {getattr(queue._sql, statement)}".encode(), VALUES).fetchall()
                plan = "\n".join(line for (line,) in rows)
                assert "Join" not in plan, plan
                assert plan.count("Nested Loop") == (statement == "turn"), plan  # of the claim, over few levels


async def test_postgresql_plans_a_turn_once(postgres_url: str) -> None:
    """And from the index, though the table was empty when it did."""
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
        await queue.push(Job("first", "Example", b"{}"))
        jobs = [await queue.pop()]
        await queue.push_many([Job(f"{n}", "Example", b"{}") for n in range(40)])
        for _ in range(40):
            jobs = (await queue.turn([Settlement(job, "ack") for job in jobs], 1)).jobs
            assert len(jobs) == 1
        counted = "SELECT sum(custom_plans) FROM pg_prepared_statements WHERE strpos(statement, 'acked') > 0"
        ((custom,),) = await queue._run(lambda link, now: link.rows(counted, {}))
        assert custom == 0


@pytest.mark.parametrize(
    ("options", "shown"), [({}, "off"), ({"wakeup": "poll"}, "on"), ({"prepared_statements": False}, "on")]
)
async def test_postgresql_settings_stay_out_of_sessions_that_a_pooler_hands_round(
    postgres_url: str, options: dict[str, Any], shown: str
) -> None:
    async with SQLQueue(postgres_url, **options) as queue:
        await queue.setup()
        await queue.push(Job("first", "Example", b"{}"))
        await queue.pop()
        ((found,),) = await queue._run(lambda link, now: link.rows("SHOW enable_seqscan", {}))
        assert found == shown
