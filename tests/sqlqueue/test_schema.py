"""The tables by script, by Alembic, and from one version to the next."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext

from lagoqueue import Job, ReservationLost, SchemaMissing, SchemaTooNew, Settlement
from lagoqueue.monitor import ThroughputPoint
from lagoqueue_sql import SQLInspector, SQLQueue
from tests.sqlqueue.processes import each_database

database_url = each_database("sqlite", "postgresql", "mariadb")

VERSION_1 = """
CREATE TABLE lagoqueue_schema (name TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (name));
CREATE TABLE "jobs" (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL,
    name TEXT NOT NULL, payload BLOB NOT NULL, headers TEXT NOT NULL, attempts INTEGER NOT NULL,
    available_at BIGINT NOT NULL, reserved_at BIGINT, reserved_until BIGINT, receipt TEXT, UNIQUE (id));
CREATE INDEX "ix_jobs_waiting" ON "jobs" (queue, priority DESC, available_at, seq, reserved_at)
    WHERE reserved_at IS NULL;
CREATE INDEX "ix_jobs_reserved" ON "jobs" (reserved_until) WHERE reserved_at IS NOT NULL;
CREATE TABLE "failed_jobs" (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL,
    name TEXT NOT NULL, payload BLOB NOT NULL, headers TEXT NOT NULL, attempts INTEGER NOT NULL, available_at BIGINT,
    kind TEXT NOT NULL, error TEXT NOT NULL, traceback TEXT NOT NULL, failed_at BIGINT NOT NULL, UNIQUE (id));
INSERT INTO lagoqueue_schema VALUES ('jobs', 1), ('failed_jobs', 1);
INSERT INTO jobs VALUES (1, 'waiting', 'default', 0, 'Example', x'7b7d', '{}', 0, 1, NULL, NULL, NULL);
INSERT INTO jobs VALUES (2, 'reserved', 'default', 0, 'Example', x'7b7d', '{}', 1, 1, 5, 99999999999999999, 'old');
INSERT INTO failed_jobs VALUES
    (1, 'failed', 'default', 0, 'Example', x'7b7d', '{}', 3, 1, 'ValueError', 'ValueError: 1', 'trace', 1700000000000000);
"""
"""What the first version left behind: a job that waits, one that is reserved, and one that failed."""


async def use(url: str) -> None:
    """Take a job through all of its life."""
    async with SQLQueue(url, table="work") as queue:
        await queue.push(Job("a", "Example", b"{}"))
        await queue.fail(await queue.pop())
        await queue.failed_jobs.retry("a")
        await queue.ack(await queue.pop())
        assert await queue.size() == 0


def printed(url: str) -> str:
    out = io.StringIO()
    SQLQueue(url, table="work").print_ddl(out)
    return out.getvalue()


# --- By script ------------------------------------------------------------------------------------


async def test_the_printed_ddl_makes_a_queue_in_sqlite(url: str, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(printed(url))
    connection.close()
    await use(url)


async def test_the_printed_ddl_makes_a_queue_in_postgresql(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(printed(postgres_url).encode())
    await use(postgres_url)


async def test_setup_finds_what_the_script_has_made(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(printed(postgres_url).encode())
    async with SQLQueue(postgres_url, table="work") as queue:
        await queue.setup()
    await use(postgres_url)


async def test_postgresql_is_told_to_vacuum_early(postgres_url: str) -> None:
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT reloptions FROM pg_class WHERE oid = 'jobs'::regclass").fetchone()
    assert row is not None
    assert "autovacuum_vacuum_scale_factor=0.02" in row[0]


async def test_postgresql_keeps_one_entry_for_a_job_by_its_id_and_none_by_its_number(postgres_url: str) -> None:
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
    with changing(postgres_url) as connection:
        (key,) = keys_of_jobs(connection)
    assert "(id) WITH (fillfactor='60')" in key


# --- By Alembic -----------------------------------------------------------------------------------


def operations(url: str, metadata: Any, include: Any = None) -> list[Any]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": include, "target_metadata": metadata})
        script = produce_migrations(context, metadata)
    engine.dispose()
    assert script.upgrade_ops is not None
    return script.upgrade_ops.ops


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_alembic_sees_nothing_to_do_either_way(request: pytest.FixtureRequest, database: str) -> None:
    url = request.getfixturevalue("url" if database == "sqlite" else "postgres_url")
    async with SQLQueue(url) as queue:
        await queue.setup()
    own = sa.MetaData()
    sa.Table("users", own, sa.Column("id", sa.Integer, primary_key=True))
    engine = sa.create_engine(url)
    own.create_all(engine)
    engine.dispose()

    def not_the_queues(thing: Any, name: str, kind: str, reflected: bool, compare_to: Any) -> bool:
        return not (kind == "table" and name in queue.metadata.tables)

    assert operations(url, own) != []  # without either recipe it would drop the queue's tables
    assert operations(url, own, not_the_queues) == []
    assert operations(url, [own, queue.metadata]) == []


# --- From one version to the next -----------------------------------------------------------------


async def test_new_code_refuses_old_tables_until_setup_has_brought_them_up(url: str, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1)
    connection.close()
    async with SQLQueue(url) as queue:
        with pytest.raises(SchemaMissing, match=r"run `await queue.setup"):
            await queue.push(Job("new", "Example", b"{}"))
        await queue.setup()
        with pytest.raises(ReservationLost):
            await queue.ack(Job("reserved", "Example", b"{}", receipt="old"))
        assert sorted(job.id for job in await queue.pop_many(9)) == ["reserved", "waiting"]
        failed = await queue.failed_jobs.get("failed")
        assert (failed.error, failed.traceback) == ("ValueError: 1", "trace")
        assert await queue.failed_jobs.queues() == {"default": 1}
        with sqlite3.connect(path) as connection:
            indexes = [row[1] for row in connection.execute("PRAGMA index_list(failed_jobs)")]
        connection.close()
        assert "ix_failed_jobs_queue" in indexes
        await queue.failed_jobs.retry("failed")
        await queue.ack(await queue.pop())


BEGAN = int(time.time()) // 10 * 10 - 600
"""Where ten seconds began some minutes ago."""


def take_back_to_version_2(queue: SQLQueue, url: str) -> None:
    """Give a database the tables of version 2: one for all that was counted, the totals in bucket 0."""
    history = queue.metadata.tables["lagoqueue_history"].c
    counters = sa.Table(
        "lagoqueue_counters",
        sa.MetaData(),
        *(sa.Column(name, history[name].type, primary_key=True) for name in ("jobs_table", "bucket", "queue")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("pushed", "processed", "failed", "retried")),
        mysql_engine="InnoDB",
    )
    with changing(url) as connection:
        connection.exec_driver_sql("DROP TABLE lagoqueue_totals")
        connection.exec_driver_sql("DROP TABLE lagoqueue_history")
        counters.create(connection)
        connection.exec_driver_sql("UPDATE lagoqueue_schema SET version = 2")
        connection.exec_driver_sql(
            "DELETE FROM lagoqueue_schema WHERE name IN ('lagoqueue_totals', 'lagoqueue_history')"
        )
        connection.exec_driver_sql("INSERT INTO lagoqueue_schema VALUES ('lagoqueue_counters', 2)")
        for row in (
            ("jobs", 0, "mail", 10, 7, 2, 5),
            ("jobs", 0, "bulk", 4, 0, 0, 0),
            ("other", 0, "mail", 3_000_000_000, 1, 1, 1),
            ("jobs", BEGAN, "mail", 6, 5, 1, 2),
            ("jobs", BEGAN + 20, "mail", 1, 0, 0, 0),
        ):
            connection.execute(counters.insert().values(row))
    take_back_to_version_3(url)


def take_back_to_version_3(url: str) -> None:
    """Let PostgreSQL's table of jobs have the primary key that it had until then, and an index of ids beside it."""
    with changing(url) as connection:
        connection.exec_driver_sql("UPDATE lagoqueue_schema SET version = 3 WHERE version > 3")
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE jobs DROP CONSTRAINT jobs_pkey")
            connection.exec_driver_sql("ALTER TABLE jobs ADD PRIMARY KEY (seq), ADD UNIQUE (id)")


@contextmanager
def changing(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


async def counted(queue: SQLQueue) -> dict[str, tuple[int, ...]]:
    """Return the totals of each label."""
    rows = (await SQLInspector(queue).stats()).queues
    return {row.queue: (row.pushed, row.processed, row.failed, row.retried) for row in rows}


async def test_what_version_2_counted_is_kept(database_url: str) -> None:
    async with SQLQueue(database_url) as queue:
        await queue.setup()
        await queue.push(Job("a", "Example", b"{}", queue="mail"))
    take_back_to_version_2(queue, database_url)
    async with SQLQueue(database_url) as queue, SQLQueue(database_url, table="other") as other:
        with pytest.raises(SchemaMissing, match=r"run `await queue.setup"):
            await queue.push(Job("b", "Example", b"{}"))
        await asyncio.gather(queue.setup(), other.setup())
        await queue.setup()
        assert await counted(queue) == {"bulk": (4, 0, 0, 0), "mail": (10, 7, 2, 5)}
        assert await counted(other) == {"mail": (3_000_000_000, 1, 1, 1)}
        points = [point for point in await SQLInspector(queue).history() if point.pushed]
        assert points == [
            ThroughputPoint(datetime.fromtimestamp(BEGAN, UTC), 6, 5, 1, 2),
            ThroughputPoint(datetime.fromtimestamp(BEGAN + 20, UTC), 1),
        ]
        mail = (await SQLInspector(queue).activity())[-1]
        assert (mail.queue, sum(mail.processed), mail.last_at, mail.run.total) == ("mail", 5, None, 0)
        await queue.ack(await queue.pop(labels=["mail"]))
        assert (await counted(queue))["mail"] == (10, 8, 2, 5)
    with changing(database_url) as connection:
        assert not sa.inspect(connection).has_table("lagoqueue_counters")
        found = connection.execute(sa.select(*queue.metadata.tables["lagoqueue_schema"].c)).all()
    names = ("jobs", "failed_jobs", "other", "failed_other")
    own = ("lagoqueue_workers", "lagoqueue_totals", "lagoqueue_history")
    assert {row.name: row.version for row in found} == dict.fromkeys((*names, *own), 4)


async def test_a_migration_that_was_broken_off_is_finished_and_counts_nothing_twice(database_url: str) -> None:
    async with SQLQueue(database_url) as queue:
        await queue.setup()
    totals, history = (queue.metadata.tables[f"lagoqueue_{name}"] for name in ("totals", "history"))
    take_back_to_version_2(queue, database_url)
    with changing(database_url) as connection:  # it died before the last rows, or others have begun to count
        totals.create(connection)
        history.create(connection)
        connection.exec_driver_sql("UPDATE lagoqueue_schema SET version = 3 WHERE name <> 'lagoqueue_counters'")
        connection.exec_driver_sql(
            "INSERT INTO lagoqueue_schema VALUES ('lagoqueue_totals', 3), ('lagoqueue_history', 3)"
        )
        row = {"jobs_table": "jobs", "queue": "mail", "pushed": 11, "processed": 7, "failed": 2, "retried": 5}
        connection.execute(totals.insert().values(row))
    async with SQLQueue(database_url) as queue:
        await queue.setup()
        assert await counted(queue) == {"bulk": (4, 0, 0, 0), "mail": (11, 7, 2, 5)}
    with changing(database_url) as connection:
        connection.exec_driver_sql("INSERT INTO lagoqueue_schema VALUES ('lagoqueue_counters', 2)")  # or right behind
    async with SQLQueue(database_url) as queue:
        await queue.setup()
        assert await counted(queue) == {"bulk": (4, 0, 0, 0), "mail": (11, 7, 2, 5)}


async def test_what_version_3_reserved_is_settled_by_its_new_key(postgres_url: str) -> None:
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
        await queue.push_many([Job(name, "Example", b"{}") for name in "abc"])
        reserved = await queue.pop_many(2)
    with changing(postgres_url) as connection:
        made = keys_of_jobs(connection)
    take_back_to_version_3(postgres_url)
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
        assert await queue.settle([Settlement(job, "ack") for job in reserved]) == []
        assert [job.id for job in await queue.pop_many(9)] == ["c"]
    with changing(postgres_url) as connection:
        assert keys_of_jobs(connection) == made


def keys_of_jobs(connection: sa.Connection) -> list[str]:
    rows = connection.exec_driver_sql(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'jobs'::regclass AND indisunique"
    )
    return [definition for (definition,) in rows]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_old_code_refuses_newer_tables(request: pytest.FixtureRequest, database: str) -> None:
    url = request.getfixturevalue("url" if database == "sqlite" else "postgres_url")
    async with SQLQueue(url) as queue:
        await queue.setup()
        await queue.push(Job("a", "Example", b"{}"))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lagoqueue_schema SET version = 99 WHERE name = 'jobs'")
    engine.dispose()
    async with SQLQueue(url) as queue:
        for operation in (queue.push(Job("b", "Example", b"{}")), queue.pop(), queue.setup()):
            with pytest.raises(SchemaTooNew, match="upgrade lagoqueue-sql"):
                await operation
