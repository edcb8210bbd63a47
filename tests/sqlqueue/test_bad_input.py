"""What a user may get wrong, and files that cannot be used: a typed error each, naming the way out."""

# ruff: noqa: ASYNC240 - these tests damage small files, and nothing else runs meanwhile

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lagoqueue import DriverError, Failure, InvalidJob, InvalidValue, Job
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.dialects.sqlite import SQLite

JOB = Job("a", "Example", b"{}")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_databases_in_memory_are_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="MemoryQueue"):
        SQLQueue(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle+oracledb://me:s3cret@host/db", "not on 'oracle'"),
        ("s3cret", "needs a SQLAlchemy URL"),
        (42, "not int"),
    ],
)
def test_other_databases_are_refused_and_passwords_kept(url: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as caught:
        SQLQueue(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value, chain=True)).replace(repr(url), "")


@pytest.mark.parametrize(
    "settings",
    [
        {"visibility_timeout": 0},
        {"visibility_timeout": -1},
        {"visibility_timeout": float("nan")},
        {"busy_timeout": float("inf")},
        {"busy_timeout": "5"},
        {"synchronous": "off"},
        {"synchronous": "full; DROP TABLE jobs"},
    ],
)
def test_settings_outside_their_range_are_refused(url: str, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(settings))):
        SQLQueue(url, **settings)


async def test_an_engine_or_url_object_serves_as_well(url: str, path: Path) -> None:
    for given in (sa.create_engine(url), sa.make_url(url), f"sqlite+aiosqlite:///{path}"):
        async with SQLQueue(given) as queue:
            await queue.setup()
            assert await queue.size() == 0


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "jobs.db"
    async with SQLQueue(f"sqlite:///{path}") as queue:
        with pytest.raises(DriverError, match=r"no/such/jobs\.db.*its folder must exist") as caught:
            await queue.setup()
        assert caught.value.__cause__ is not None
        path.parent.mkdir(parents=True)
        await queue.setup()  # the same object recovers
        assert await queue.push(JOB)


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    async with SQLQueue(f"sqlite:///{tmp_path}") as queue:
        with pytest.raises(DriverError, match="cannot open"):
            await queue.setup()


def test_a_file_that_may_not_be_written_is_named(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    database = SQLite(sa.make_url(f"sqlite:///{path}"), synchronous="full", busy_timeout=1)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as caught:
        reader.execute("CREATE TABLE t (x)")
    reader.close()
    assert "must be able to write to the file and to its folder" in str(database.translate(caught.value))


async def test_a_file_that_is_no_database_is_named(path: Path, url: str) -> None:
    path.write_bytes(b"once upon a time " * 500)
    async with SQLQueue(url) as queue:
        for operation in (queue.setup(), queue.push(JOB)):
            with pytest.raises(DriverError, match=r"jobs\.db' is not a SQLite database"):
                await operation
    assert path.read_bytes().startswith(b"once upon a time")


async def test_a_damaged_file_is_named_and_the_queue_recovers_with_a_sound_one(path: Path, url: str) -> None:
    async with SQLQueue(url) as queue:
        await queue.setup()
        for number in range(50):
            await queue.push(Job(f"{number}", "Example", b"x" * 3000))
    content = bytearray(path.read_bytes())
    sound = bytes(content)
    content[4096:] = b"\xff" * (len(content) - 4096)  # keeps the header and the list of tables
    path.write_bytes(content)
    async with SQLQueue(url) as queue:
        with pytest.raises(DriverError, match="damaged") as caught:
            await queue.pop()
        assert ".recover" in str(caught.value)
        path.write_bytes(sound)
        assert (await queue.pop()).id == "0"


async def test_no_error_shows_a_payload(queue: SQLQueue, path: Path) -> None:
    await queue.push(JOB)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE jobs RENAME COLUMN payload TO body")
    connection.close()
    with pytest.raises(DriverError) as caught:
        await queue.push(Job("b", "Example", b"s3cret"))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)).replace('b"s3cret"', "")


async def test_text_that_no_store_keeps_is_refused_before_anything_is_stored(queue: SQLQueue) -> None:
    for bad in (
        Job("", "Example", b""),
        Job("x", "a\0b", b""),
        Job("x", "\ud800", b""),
        Job("x" * 1_000_000, "N", b""),
    ):
        with pytest.raises(InvalidJob):
            await queue.push_many([JOB, bad])
    assert await queue.size() == 0


async def test_error_texts_with_nul_and_lone_surrogates_are_kept_escaped(queue: SQLQueue) -> None:
    await queue.push(JOB)
    await queue.fail(await queue.pop(), Failure("E\0", "E: \0 \ud800", "at \udfff"))
    failed = await queue.failed_jobs.get("a")
    assert (failed.kind, failed.error, failed.traceback) == ("E\\x00", "E: \\x00 \\ud800", "at \\udfff")


@pytest.mark.parametrize("page", [0, -1, 1.0, True, "1"])
async def test_pages_are_whole_numbers_from_one(queue: SQLQueue, page: Any) -> None:
    with pytest.raises(InvalidValue, match="page"):
        await queue.failed_jobs.list(page)


async def test_a_pop_of_no_jobs_is_refused(queue: SQLQueue) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        await queue.pop_many(0)


async def test_a_page_beyond_every_store_is_empty(queue: SQLQueue) -> None:
    assert await queue.failed_jobs.list(10**30) == []
