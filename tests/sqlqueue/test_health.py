"""What an inspector says of the database's health: each trouble is made, is found in words, and passes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
import sqlalchemy as sa

import servers
from lagoqueue import Job
from lagoqueue.monitor import HealthCheck
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLInspector, SQLQueue, health, inspector
from lagoqueue_sql.dialects import mysql_health, postgresql_health
from lagoqueue_sql.dialects.postgresql_health import BEHIND, Holder, dead_rows_of, holder_of, slot_of
from lagoqueue_sql.dialects.sqlite_health import LARGE, LOG
from lagoqueue_sql.health import round_trip_of, spoken
from lagoqueue_sql.link import Link
from tests.sqlqueue.processes import each_database

database_url = each_database("sqlite", "postgresql", "mariadb")

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def queue(database_url: str, clock: ManualClock) -> AsyncIterator[SQLQueue]:
    async with SQLQueue(database_url, visibility_timeout=60, _clock=clock) as queue:
        await queue.setup()
        yield queue


@pytest_asyncio.fixture
async def postgres_queue(postgres_url: str) -> AsyncIterator[SQLQueue]:
    async with SQLQueue(postgres_url) as queue:
        await queue.setup()
        yield queue


async def checked(queue: SQLQueue, name: str) -> HealthCheck:
    (found,) = [check for check in await SQLInspector(queue).health() if check.name == name]
    return found


@contextmanager
def connected(url: str, **arguments: Any) -> Iterator[psycopg.Connection[Any]]:
    connection = psycopg.connect(url.replace("+psycopg", ""), **arguments)
    try:
        yield connection
    finally:
        connection.close()


# --- In every database ----------------------------------------------------------------------------


async def test_reservations_that_ran_out_are_found_until_a_worker_takes_them_back(
    queue: SQLQueue, clock: ManualClock
) -> None:
    await queue.push_many([Job(str(number), "Example", b"{}") for number in range(3)])
    await queue.pop_many(2)
    clock.advance(60 + health.OVERDUE - 1)
    assert (await checked(queue, "Expired reservations")).level == "good"
    clock.advance(31)
    found = await checked(queue, "Expired reservations")
    assert found.level == "warn"
    assert "2 jobs are held" in found.finding
    assert "the first 1 minute ago" in found.finding
    assert "Start a worker" in found.remedy
    clock.advance(health.LONG_OVERDUE)
    assert (await checked(queue, "Expired reservations")).level == "bad"
    await queue.pop()
    assert (await checked(queue, "Expired reservations")).level == "good"


async def test_a_database_that_does_not_answer_is_the_one_thing_that_is_said() -> None:
    async with SQLQueue(f"postgresql://nobody@127.0.0.1:{servers.free_port()}/jobs", timeout=1) as queue:
        (found,) = await SQLInspector(queue).health()
    assert (found.name, found.level) == ("Round trip", "bad")
    assert "could not be reached" in found.finding


async def test_tables_that_were_not_made_are_said_and_not_raised(url: str) -> None:
    async with SQLQueue(url) as queue:
        (found,) = await SQLInspector(queue).health()
    assert found.level == "bad"
    assert "setup()" in found.finding


async def test_a_check_that_fails_says_so_and_leaves_the_others(postgres_url: str) -> None:
    async with SQLQueue(postgres_url, timeout=0.3) as queue:
        await queue.setup()
        with connected(postgres_url) as connection:
            connection.execute("LOCK TABLE jobs")
            found = {check.name: check for check in await SQLInspector(queue).health()}
        assert found["Expired reservations"].level == "warn"
        assert "could not be looked at" in found["Expired reservations"].finding
        assert found["Prepared transactions"].level == found["Replication slots"].level == "good"


async def test_checks_that_take_long_leave_what_was_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page gives up waiting after three seconds, and would have nothing to show."""
    end = threading.Event()

    def look(link: Link, sql: Any, own: int) -> HealthCheck:
        end.wait(PATIENCE)
        return HealthCheck("Slow", "good", "It was slow.")

    monkeypatch.setattr(inspector, "TOGETHER", 0.3)
    monkeypatch.setattr(health, "CHECKS", (health.ROUND_TRIP, health.Check("Slow", look), health.EXPIRED))
    async with SQLQueue(url) as queue:
        await queue.setup()
        try:
            async with asyncio.timeout(PATIENCE / 2):
                found = await SQLInspector(queue).health()
        finally:
            end.set()
    assert [(check.name, check.level) for check in found] == [
        ("Round trip", "good"), ("Slow", "warn"), ("Expired reservations", "warn"), ("Write-ahead log", "warn"),
    ]  # fmt: skip
    assert "no time was left of the 0.3 s" in found[1].finding
    assert found[1].finding == found[2].finding


@pytest.mark.parametrize(("seconds", "level"), [(0.0004, "good"), (0.06, "warn"), (0.6, "bad")])
def test_a_slow_round_trip_is_worth_a_look(seconds: float, level: str) -> None:
    found = round_trip_of(seconds)
    assert found.level == level
    assert bool(found.remedy) == (level != "good")


def test_a_round_trip_within_the_process_is_said_without_a_figure() -> None:
    assert round_trip_of(0.0000022).finding == "The database answers in less than 0.1 ms."
    assert round_trip_of(0.0004).finding == "The database answers in 0.4 ms."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than a second"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (7_300, "2 hours")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


# --- PostgreSQL -----------------------------------------------------------------------------------


async def test_dead_rows_are_found_until_vacuum_has_come(postgres_queue: SQLQueue, postgres_url: str) -> None:
    await postgres_queue.push_many([Job(str(number), "Example", b"{}") for number in range(1_000)])
    with connected(postgres_url) as holding, connected(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE jobs SET (autovacuum_enabled = off)")
        holding.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holding.execute("SELECT count(*) FROM jobs")  # or the rows would be cleared away by the next updates
        for _ in range(60):
            connection.execute("UPDATE jobs SET priority = priority")
    found = await until(postgres_queue, "Dead rows", "warn")
    assert "dead ones; vacuum has not come yet" in found.finding
    assert "VACUUM" in found.remedy
    with connected(postgres_url, autocommit=True) as connection:
        connection.execute("VACUUM jobs")
    await until(postgres_queue, "Dead rows", "good", "vacuum last came")


async def until(queue: SQLQueue, name: str, level: str, saying: str = "") -> HealthCheck:
    """Return a check's result once it has turned out so. Servers take a moment to show what happens.

    MariaDB looks at transactions anew only when nobody has asked for 0.1 seconds.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await checked(queue, name)
            if found.level == level and saying in found.finding:
                return found
            await asyncio.sleep(0.2)


def test_a_busy_queue_may_have_dead_rows_while_vacuum_comes() -> None:
    assert dead_rows_of(0, 49_999, None).level == "good"
    assert dead_rows_of(80_000, 70_000, 300.0).level == "good"
    assert dead_rows_of(10, 400_000, 60.0).level == "good"
    assert dead_rows_of(10, 600_000, 60.0).level == "warn"
    assert dead_rows_of(10, 60_000, 300.0).level == "warn"
    assert dead_rows_of(10, 2_000_000, None).level == "bad"


async def test_a_transaction_that_stays_open_is_found_with_who_holds_it(
    postgres_queue: SQLQueue, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(postgres_url, application_name="report") as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM jobs")
        found = await checked(postgres_queue, "Oldest transaction")
        assert found.level == "good"
        monkeypatch.setattr(postgresql_health, "OPEN_LONG", 0.0)
        found = await checked(postgres_queue, "Oldest transaction")
        assert found.level == "warn"
        pid = connection.info.backend_pid
        assert f"(pid {pid}, report, user postgres, idle in transaction)" in found.finding
        assert f"pg_terminate_backend({pid})" in found.remedy
        monkeypatch.setattr(postgresql_health, "OPEN_TOO_LONG", 0.0)
        assert (await checked(postgres_queue, "Oldest transaction")).level == "bad"
    await until(postgres_queue, "Oldest transaction", "good", "No transaction keeps vacuum from removing dead rows.")


async def test_a_transaction_in_another_database_holds_nothing_here(
    postgres_queue: SQLQueue, postgresql: servers.PostgreSQL
) -> None:
    other = postgresql.create_database()
    with connected(other) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")
        found = await checked(postgres_queue, "Oldest transaction")
    postgresql.drop_database(other)
    assert found.finding == "No transaction keeps vacuum from removing dead rows."


async def test_who_may_not_see_others_is_told_as_much_as_there_is_to_see(
    own_postgresql: servers.PostgreSQL,
) -> None:
    url = own_postgresql.create_database()
    async with SQLQueue(url) as queue:
        await queue.setup()
    with connected(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app")
    with connected(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM jobs")
        async with SQLQueue(url.replace("postgres@", "app@")) as queue:
            found = {check.name: check for check in await SQLInspector(queue).health()}
        pid = connection.info.backend_pid
    assert [check for check in found.values() if check.level != "good"] == []
    assert f"pid {pid}" in found["Oldest transaction"].finding
    assert "this user may not see" in found["Oldest transaction"].finding


def test_a_standby_and_a_hidden_transaction_are_judged_by_how_far_they_are_behind() -> None:
    for holder in (
        Holder(7, "walreceiver", "replicator", None, "walsender", None, BEHIND),
        Holder(7, None, "alice", None, None, None, BEHIND),
    ):
        found = holder_of(holder)
        assert (found.level, "pid 7" in found.finding, found.remedy != "") == ("warn", True, True)
        found = holder_of(holder._replace(behind=BEHIND - 1))
        assert (found.level, found.remedy) == ("good", "")


async def test_a_forgotten_prepared_transaction_is_found(
    own_postgresql: servers.PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_postgresql.config("max_prepared_transactions", "2")
    own_postgresql.restart()
    url = own_postgresql.create_database()
    async with SQLQueue(url) as queue:
        await queue.setup()
        with connected(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE other (id integer)")
            connection.execute("BEGIN; INSERT INTO other VALUES (1); PREPARE TRANSACTION 'it''s lost'")
            assert (await checked(queue, "Prepared transactions")).level == "good"
            monkeypatch.setattr(postgresql_health, "OPEN_LONG", 0.0)
            found = await checked(queue, "Prepared transactions")
            assert found.level == "warn"
            assert '"it\'s lost" of user postgres' in found.finding
            assert "ROLLBACK PREPARED 'it''s lost'" in found.remedy
            connection.execute("ROLLBACK PREPARED 'it''s lost'")
        assert (await checked(queue, "Prepared transactions")).finding.startswith("No transaction is prepared")


def test_a_slot_that_nobody_uses_is_worth_a_look_and_one_that_is_far_behind_is_bad() -> None:
    assert slot_of(None, True, 0).level == "good"
    assert slot_of("standby", True, 5).level == "good"
    assert slot_of("standby", True, BEHIND).level == "warn"
    found = slot_of("standby", False, 5)
    assert (found.level, "pg_drop_replication_slot('standby')" in found.remedy) == ("warn", True)
    assert slot_of("standby", False, BEHIND).level == "bad"


@contextmanager
def standby_of(primary: servers.PostgreSQL, slot: str) -> Iterator[servers.PostgreSQL]:
    """A second server that follows the first one over a slot, and tells it what it still reads."""
    with ExitStack() as stack:
        standby = servers.PostgreSQL(primary.bin)
        stack.callback(standby.close)
        servers._give(standby.folder)
        source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        primary._pg("pg_basebackup", *source, "-D", str(standby.data), "-R", "-C", "-S", slot, "-c", "fast")
        with (standby.data / "postgresql.conf").open("a") as file:
            file.write(f"\nport = {standby.port}\nunix_socket_directories = '{standby.folder}'\n")
            file.write("hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n")
        standby.start()
        yield standby


async def test_a_slot_that_a_standby_has_left_is_found(own_postgresql: servers.PostgreSQL) -> None:
    url = own_postgresql.create_database()
    async with SQLQueue(url) as queue:
        await queue.setup()
        with standby_of(own_postgresql, "spare") as standby:
            await until(queue, "Replication slots", "good", "'spare' is in use")
            standby.stop()
            await until(queue, "Replication slots", "warn", "'spare' is not in use")
        with connected(url, autocommit=True) as connection:
            connection.execute("SELECT pg_drop_replication_slot('spare')")
        assert (await checked(queue, "Replication slots")).finding.startswith("No replication slot")


# --- MariaDB --------------------------------------------------------------------------------------


@contextmanager
def in_transaction(url: str) -> Iterator[Any]:
    parts = sa.make_url(url)
    connection = pymysql.connect(
        host=parts.host, port=parts.port or 3306, user=parts.username, database=parts.database, password=""
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SELECT count(*) FROM jobs")
        yield connection
    finally:
        connection.close()


async def test_a_transaction_that_stays_open_is_found_in_mariadb(
    own_mariadb: servers.MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_mariadb.create_database()
    own_mariadb.sql("CREATE USER app@'127.0.0.1' IDENTIFIED BY 's3cret'")
    own_mariadb.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {sa.make_url(url).database}.* TO app@'127.0.0.1'")
    async with SQLQueue(url) as queue, SQLQueue(url.replace("root@", "app:s3cret@")) as restricted:
        await queue.setup()
        with in_transaction(url) as connection:
            await until(queue, "Oldest transaction", "good", "has been open for")
            monkeypatch.setattr(mysql_health, "OPEN_LONG", 0.0)
            found = await until(queue, "Oldest transaction", "warn")
            assert f"thread {connection.thread_id()}, user root" in found.finding
            assert f"KILL {connection.thread_id()}" in found.remedy
            found = await checked(restricted, "Oldest transaction")
            assert (found.level, "GRANT PROCESS" in found.remedy) == ("warn", True)
        await until(queue, "Oldest transaction", "good", "No transaction is open.")


# --- SQLite ---------------------------------------------------------------------------------------


async def test_a_write_ahead_log_that_a_reader_keeps_from_being_emptied_is_found(url: str, path: Path) -> None:
    async with SQLQueue(url, synchronous="normal") as queue:
        await queue.setup()
        assert (await checked(queue, "Write-ahead log")).level == "good"
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        size = 8_000_000
        for number in range(LARGE // size + 1):
            await queue.push(Job(str(number), "Example", bytes(size)))
        found = await checked(queue, "Write-ahead log")
        assert found.level == "warn"
        assert "read transaction" in found.remedy
        reader.close()


def test_another_journal_mode_is_bad(path: Path) -> None:
    connection = sqlite3.connect(path)
    found = LOG.look(Link(connection), None, 0)  # type: ignore[arg-type]
    connection.close()
    assert (found.level, "'delete'" in found.finding) == ("bad", True)
