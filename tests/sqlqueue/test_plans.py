"""The plans of the statements that run all the time: from an index, and never sorted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lagoqueue_sql import SQLQueue

VALUES = {"queue": "default", "below": 9, "level": 0, "now": 5, "until": 9, "receipt": "r", "limit": 100}
BATCH = {"batch": '[["a", "b", 1, 0]]', "now": 5, "until": 9}


def plan(queue: SQLQueue, path: Path, statement: str, values: dict[str, object]) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {getattr(queue._sql, statement)}", values).fetchall()
    finally:
        connection.close()
    return [detail for _, _, _, detail in rows]


@pytest.mark.parametrize("statement", ["claim", "head", "due_level", "earliest", "size"])
async def test_looking_and_claiming_read_only_the_index_of_waiting_jobs(
    queue: SQLQueue, path: Path, statement: str
) -> None:
    steps = plan(queue, path, statement, dict(VALUES))
    assert not [step for step in steps if "TEMP B-TREE" in step]
    tables = [step for step in steps if step.startswith(("SCAN", "SEARCH")) and not step.endswith(" level")]
    assert tables
    for step in tables:
        assert "USING COVERING INDEX ix_jobs_waiting (queue=?" in step or "USING INTEGER PRIMARY KEY" in step


@pytest.mark.parametrize("statement", ["reclaim", "next_expiry"])
async def test_expired_reservations_have_an_index_of_their_own(queue: SQLQueue, path: Path, statement: str) -> None:
    assert [step.partition(" USING ")[2].split(" (")[0] for step in plan(queue, path, statement, dict(VALUES))] == [
        "INDEX ix_jobs_reserved"
    ]


@pytest.mark.parametrize("statement", ["ack", "put_back", "extend", "bury"])
async def test_a_batch_is_settled_by_id(queue: SQLQueue, path: Path, statement: str) -> None:
    steps = plan(queue, path, statement, dict(BATCH))
    assert not [step for step in steps if step.startswith("SCAN") and "batch" not in step]
    assert [step for step in steps if "(id=?)" in step]


async def test_a_page_of_failed_jobs_is_not_sorted(queue: SQLQueue, path: Path) -> None:
    assert plan(queue, path, "failed_page", {"limit": 50, "offset": 0}) == ["SCAN failed_jobs"]
