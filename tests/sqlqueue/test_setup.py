"""`setup`: idempotent, versioned, and safe when many processes boot at once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lagoqueue import DriverError, InvalidValue, Job, SchemaMissing, SchemaTooNew
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.dialects.sqlite import check_version

JOB = Job("a", "Example", b"{}")


async def test_setup_may_be_repeated_and_keeps_the_jobs(queue: SQLQueue) -> None:
    await queue.push(JOB)
    await queue.setup()
    assert await queue.size() == 1


async def test_without_setup_every_operation_says_what_to_run(url: str) -> None:
    async with SQLQueue(url) as queue:
        for operation in (queue.push(JOB), queue.pop(), queue.size(), queue.ack(JOB), queue.failed_jobs.list()):
            with pytest.raises(SchemaMissing, match=r"await queue\.setup\(\)"):
                await operation
        await queue.setup()
        assert await queue.push(JOB)  # the same object works once that has been done


async def test_tables_that_were_dropped_are_missed(queue: SQLQueue, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE jobs")
    connection.close()
    with pytest.raises(SchemaMissing, match=r"await queue\.setup\(\)"):
        await queue.push(JOB)


async def test_tables_of_a_newer_version_are_refused(queue: SQLQueue, path: Path, url: str) -> None:
    await queue.push(JOB)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE lagoqueue_schema SET version = 99 WHERE name = 'jobs'")
    connection.close()
    async with SQLQueue(url) as old:
        for operation in (old.setup(), old.push(Job("b", "Example", b"{}")), old.pop()):
            with pytest.raises(SchemaTooNew, match=r"version 99.*upgrade lagoqueue-sql"):
                await operation


async def test_the_table_of_another_program_is_left_alone(path: Path, url: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE jobs (title TEXT)")
    connection.close()
    async with SQLQueue(url) as queue:
        with pytest.raises(DriverError, match="table 'jobs' already"):
            await queue.setup()
    async with SQLQueue(url, table="background_jobs") as queue:
        await queue.setup()
        assert await queue.push(JOB)


async def test_two_queues_share_a_file_under_their_own_names(url: str) -> None:
    async with SQLQueue(url) as one, SQLQueue(url, table="other", failed_table="lost") as two:
        await asyncio.gather(one.setup(), two.setup())
        await one.push(JOB)
        await two.fail(await _pushed_and_popped(two))
        assert (await one.size(), await two.size()) == (1, 0)
        assert (await one.failed_jobs.count(), await two.failed_jobs.count()) == (0, 1)
        assert set(two.metadata.tables) == {
            *("other", "lost"),
            *("lagoqueue_schema", "lagoqueue_workers", "lagoqueue_totals", "lagoqueue_history"),
        }


async def _pushed_and_popped(queue: SQLQueue) -> Job:
    await queue.push(JOB)
    return await queue.pop()


@pytest.mark.parametrize(
    "name",
    ["", "1st", "a b", 'a"; DROP TABLE jobs; --', "a.b", "jobs\n", "j\u00f6bs", "x" * 50, "a\0b", "sqlite_jobs", None],
)
def test_hostile_table_names_are_refused(url: str, name: Any) -> None:
    with pytest.raises(InvalidValue, match="table must"):
        SQLQueue(url, table=name, failed_table="failed")
    if name is not None:
        with pytest.raises(InvalidValue, match="failed_table must"):
            SQLQueue(url, failed_table=name)


@pytest.mark.parametrize("names", [("jobs", "Jobs"), ("lagoqueue_schema", "failed"), ("jobs", "LAGOQUEUE_SCHEMA")])
def test_one_name_for_two_tables_is_refused(url: str, names: tuple[str, str]) -> None:
    with pytest.raises(InvalidValue, match="choose another"):
        SQLQueue(url, table=names[0], failed_table=names[1])


@pytest.mark.parametrize("name", ["select", "Order", "_x", "x" * 40])
async def test_any_other_name_works_quoted(url: str, name: str) -> None:
    async with SQLQueue(url, table=name) as queue:
        await queue.setup()
        await queue.ack(await _pushed_and_popped(queue))
        assert await queue.size() == 0


def test_a_sqlite_without_returning_is_refused_by_version() -> None:
    with pytest.raises(DriverError, match=r"3\.35\.0.*3\.34\.1"):
        check_version((3, 34, 1))
    check_version((3, 35, 0))


async def test_an_old_sqlite_is_refused_at_setup(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    async with SQLQueue(url) as queue:
        with pytest.raises(DriverError, match=r"3\.34\.1"):
            await queue.setup()
