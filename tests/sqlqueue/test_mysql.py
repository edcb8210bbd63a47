"""What MySQL and MariaDB need beyond the contract; the server here is MariaDB."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
import sqlalchemy as sa

import servers
from lagoqueue import DriverError, DuplicateJob, Failure, Job, QueueEmpty, SchemaMissing, Settlement
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Trouble
from lagoqueue_sql.dialects.mysql import MySQL, check_version
from tests.proxy import Proxy

JOB = Job("a", "Example", b"{}")


@pytest_asyncio.fixture
async def queue(mariadb_url: str) -> AsyncIterator[SQLQueue]:
    async with SQLQueue(mariadb_url) as queue:
        await queue.setup()
        yield queue


@contextmanager
def session(url: str) -> Iterator[Any]:
    """A cursor of another program, in a transaction."""
    to = sa.make_url(url)
    connection = pymysql.connect(host=to.host, port=to.port or 3306, user=to.username, database=to.database)
    with closing(connection):
        yield connection.cursor()
        connection.rollback()


async def waiting_for_a_lock(url: str) -> None:
    """Return once a transaction in this database waits for another."""
    waits = (
        "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
        f" ON trx_mysql_thread_id = id WHERE trx_state = 'LOCK WAIT' AND db = '{sa.make_url(url).database}'"
    )
    while not (await asyncio.to_thread(servers.shared_mariadb().sql, waits))[0][0]:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


# --- Plans ----------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "queue": "default",
    "priority": 0,
    "above": -1,
    "floor": 0,
    "floor_seq": 0,
    "limit": 100,
    "since": 0,
    "timeout": 9,
    "receipt": "r",
    "worker": None,
    "id": "0",
    "seq": 1,
    "seqs": [1, 2, 3],
    "ids": ["0", "1", "2"],
    "receipts": ["r"],
    "keys": [(1, "r", "0"), (2, "r", "1"), (3, "r", "2")],
    "batch": '[{"s": 1, "d": 1, "b": 0}, {"s": 2, "d": 1, "b": 0}, {"s": 3, "d": 1, "b": 0}]',
}

INDEXES = {
    "claim": ["ix_jobs_waiting", "PRIMARY"],
    "look": ["ix_jobs_waiting"],
    "size": ["ix_jobs_waiting"],
    "reclaim": ["ix_jobs_reserved", "PRIMARY"],
    "release_orphans": ["ix_jobs_reserved", "PRIMARY"],
    "ack": ["PRIMARY", "PRIMARY", "PRIMARY"],
    "put_back": ["PRIMARY", "PRIMARY"],
    "extend": ["PRIMARY", "PRIMARY"],
    "bury": ["PRIMARY", "PRIMARY"],
    "outcome": ["PRIMARY"],
    "stored": ["id"],
}


@pytest.mark.parametrize("analysed", [False, True])
async def test_statements_read_indexes_and_sort_nothing_whatever_the_server_has_counted(
    queue: SQLQueue, mariadb_url: str, analysed: bool
) -> None:
    with session(mariadb_url) as cursor:
        cursor.execute("ANALYZE TABLE jobs")  # of the empty table
        cursor.execute("ALTER TABLE jobs STATS_AUTO_RECALC = 0")
        await queue.push_many([Job(f"{n}", "Example", b"{}", priority=n % 3) for n in range(3000)])
        await queue.pop_many(100)
        if analysed:
            cursor.execute("ANALYZE TABLE jobs")
        for name, indexes in INDEXES.items():
            parts = getattr(queue._sql, name).split(";")
            for part, index in zip(parts, indexes, strict=True):
                if not analysed and name in ("size", "stored"):
                    continue  # these may read as they like for some seconds
                cursor.execute(f"EXPLAIN {part}", VALUES)
                plan = [row[2:4] + row[5:6] + row[9:] for row in cursor.fetchall()]
                (step,) = [row for row in plan if row[0] in ("jobs", queue._schema.jobs.name)]
                assert step[1] in ("range", "ref", "eq_ref", "const"), (name, plan)
                assert step[2] == index, (name, plan)
                assert not [row for row in plan if "filesort" in str(row) or "temporary" in str(row)], (name, plan)


async def test_a_look_reads_one_row_for_each_priority(queue: SQLQueue, mariadb_url: str) -> None:
    await queue.push_many([Job(f"{n}", "Example", b"{}", priority=n % 2) for n in range(2000)])
    with session(mariadb_url) as cursor:
        cursor.execute("FLUSH STATUS")
        for above, found in ((-1, 0), (0, 1), (1, None)):
            cursor.execute(queue._sql.look, VALUES | {"above": above})
            ((priority, _, _),) = cursor.fetchall()
            assert priority == found
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        reads = {name: int(count) for name, count in cursor.fetchall()}
        assert reads["Handler_read_next"] + reads["Handler_read_key"] < 10


# --- Bytes ----------------------------------------------------------------------------------------

ALIKE = ["a", "a ", "A", "\u00e1", "a\u0301", "\u00df", "ss", "\U0001f600", "\U0001f601", "'", "\\", "%s", '"', "\n"]


async def test_ids_and_labels_are_told_apart_byte_by_byte(queue: SQLQueue) -> None:
    assert await queue.push_many([Job(each, "Example", each.encode()) for each in ALIKE]) == len(ALIKE)
    for each in ALIKE:
        with pytest.raises(DuplicateJob):
            await queue.push(Job(each, "Example", b""))
        await queue.named(each).push(Job(f"under {each}", "Example", b""))
    jobs = await queue.pop_many(99)
    assert [(job.id, job.payload.decode()) for job in jobs] == [(each, each) for each in ALIKE]
    assert await queue.settle([Settlement(job, "ack") for job in jobs]) == []
    for each in ALIKE:
        job = await queue.pop(labels=[each])
        assert (job.id, job.queue) == (f"under {each}", each)
        await queue.fail(job)
        assert (await queue.failed_jobs.get(f"under {each}")).queue == each
    with pytest.raises(QueueEmpty):
        await queue.pop(labels=ALIKE)


async def test_text_and_bytes_come_back_as_they_were(queue: SQLQueue) -> None:
    text = "".join(ALIKE) + "\U0010ffff\x1a"
    job = Job(text, text, bytes(range(256)) * 3, headers={text: text})
    await queue.push(job)
    await queue.fail(await queue.pop(), Failure(text, text, text))
    failed = await queue.failed_jobs.get(text)
    assert (failed.kind, failed.error, failed.traceback) == (text, text, text)
    await queue.failed_jobs.retry(text)
    back = await queue.pop()
    assert (back.id, back.name, back.payload, back.headers) == (job.id, job.name, job.payload, job.headers)


async def test_ids_names_and_labels_may_be_as_long_as_anywhere(queue: SQLQueue) -> None:
    job = Job("\U0001f600" * 200, "\U0001f601" * 200, b"", priority=-(2**31) + 1)
    label = "\U0001f602" * 100
    await queue.named(label).push(job)
    popped = await queue.pop(labels=[label])
    assert (popped.id, popped.name, popped.queue, popped.priority) == (job.id, job.name, label, job.priority)


async def test_the_order_of_a_batch_is_the_order_of_its_rows(queue: SQLQueue) -> None:
    ids = [f"{n * 7919 % 2500}" for n in range(2500)]
    assert await queue.push_many([Job(each, "Example", b"x" * 500) for each in ids]) == 2500  # several statements
    assert [job.id for job in await queue.pop_many(2500)] == ids


# --- Sizes ----------------------------------------------------------------------------------------


async def test_a_payload_that_the_server_would_not_take_is_refused_and_the_queue_lives_on(queue: SQLQueue) -> None:
    with pytest.raises(DriverError, match="max_allowed_packet"):
        await queue.push(Job("big", "Example", bytes(17_000_000)))
    assert await queue.push(JOB)
    with pytest.raises(DriverError, match="max_allowed_packet"):
        await queue.push_many([Job("b", "Example", b""), Job("big", "Example", bytes(17_000_000))])
    assert [job.id for job in await queue.pop_many(9)] == ["a"]


async def test_the_largest_job_that_is_taken_can_be_run_and_can_fail(queue: SQLQueue) -> None:
    low, high = 5_000_000, 17_000_000
    while high - low > 100_000:  # how much a payload grows on its way is the driver's affair
        size = (low + high) // 2
        try:
            await queue.push(Job("big", "Example", b"\xff" * size))
        except DriverError:
            high = size
        else:
            low = size
            job = await queue.pop()
            await queue.ack(job)
    await queue.push(Job("big", "Example", b"\xff" * low))
    failure = Failure("\U0001f600" * 10_000, "'" * 10_000, "\U0001f600" * 100_000)
    await queue.fail(await queue.pop(), failure)
    assert len((await queue.failed_jobs.get("big")).job.payload) == low
    await queue.failed_jobs.retry("big")
    assert (await queue.pop()).payload == b"\xff" * low


async def test_a_batch_may_be_larger_than_what_the_server_takes_at_once(queue: SQLQueue) -> None:
    jobs = [Job(f"{n}", "Example", bytes([n]) * 1_000_000) for n in range(20)]
    assert await queue.push_many(jobs) == 20
    assert [job.payload[:1] for job in await queue.pop_many(20)] == [bytes([n]) for n in range(20)]


# --- Other transactions ---------------------------------------------------------------------------


async def test_the_victim_of_a_deadlock_tries_again(queue: SQLQueue, mariadb_url: str) -> None:
    await queue.push_many([JOB, Job("b", "Example", b"{}")])
    one, two = await queue.pop_many(2)
    with session(mariadb_url) as cursor:
        cursor.execute("CREATE TABLE heavy (x INT) ENGINE InnoDB")
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_1000")  # who has changed less is rolled back
        cursor.execute("SELECT 1 FROM jobs WHERE id = 'b' FOR UPDATE")
        settling = asyncio.create_task(queue.settle([Settlement(one, "ack"), Settlement(two, "release")]))
        await waiting_for_a_lock(mariadb_url)
        await asyncio.to_thread(cursor.execute, "SELECT 1 FROM jobs WHERE id = 'a' FOR UPDATE")
        assert cursor.fetchall() == ((1,),)  # the ack was taken back
        assert not settling.done()
        cursor.execute("COMMIT")
    assert await settling == []
    assert (await queue.pop()).id == "b"
    assert await queue.size() == 0


async def test_a_lock_kept_too_long_is_a_driver_error_and_nothing_was_done(mariadb_url: str) -> None:
    async with SQLQueue(mariadb_url, timeout=3) as queue:
        await queue.setup()
        await queue.push(JOB)
        job = await queue.pop()
        with session(mariadb_url) as cursor:
            cursor.execute("SELECT 1 FROM jobs FOR UPDATE")
            with pytest.raises(DriverError, match="locked by other transactions for too long") as caught:
                await queue.ack(job)
            assert type(caught.value) is DriverError  # the outcome is known
        await queue.ack(job)


async def test_claims_pass_by_what_others_have_locked(queue: SQLQueue, mariadb_url: str) -> None:
    await queue.push_many([JOB, Job("b", "Example", b"{}")])
    with session(mariadb_url) as cursor:
        cursor.execute("SELECT 1 FROM jobs WHERE id = 'a' FOR UPDATE")
        assert [job.id for job in await queue.pop_many(2)] == ["b"]
    assert (await queue.pop(2)).id == "a"


async def test_settling_of_several_kinds_is_all_or_nothing(queue: SQLQueue, mariadb_url: str) -> None:
    await queue.push_many([JOB, Job("b", "Example", b"{}"), Job("c", "Example", b"{}")])
    one, two, three = await queue.pop_many(3)
    batch = [Settlement(one, "ack"), Settlement(two, "nack"), Settlement(three, "fail")]
    with session(mariadb_url) as cursor:
        cursor.execute("RENAME TABLE failed_jobs TO elsewhere")
        with pytest.raises(SchemaMissing):
            await queue.settle(batch)
        cursor.execute("RENAME TABLE elsewhere TO failed_jobs")
    for job in (one, two, three):
        await queue.extend(job)
    assert await queue.settle(batch) == []


async def test_of_a_batch_only_what_is_held_is_changed(queue: SQLQueue) -> None:
    await queue.push_many([Job(f"{n}", "Example", b"{}") for n in range(6)])
    jobs = await queue.pop_many(6)
    await queue.nack(jobs[0])
    await queue.ack(jobs[1])
    again = await queue.pop()
    forged = Job("4", "Example", b"{}", receipt=jobs[3].receipt)
    batch = [Settlement(each, "nack", 60 if each is jobs[0] else 0) for each in (*jobs[:3], forged, again)]
    assert await queue.settle(batch) == [jobs[0], jobs[1], forged]
    assert [job.id for job in await queue.pop_many(6)] == ["0", "2"]


async def test_a_stale_receipt_proves_nothing_beside_one_that_the_job_was_claimed_with_again(queue: SQLQueue) -> None:
    await queue.push(JOB)
    stale = await queue.pop()
    await queue.nack(stale)
    await queue.push(Job("b", "Example", b"{}"))
    again, other = await queue.pop_many(2)
    assert again.id == stale.id
    for action in ("nack", "fail", "ack"):
        assert await queue.settle([Settlement(stale, action), Settlement(other, action)]) == [stale]
        await queue.extend(again)
        if action != "ack":
            if action == "fail":
                await queue.failed_jobs.retry("b")
            other = await queue.pop()
    assert await queue.settle([Settlement(again, "ack")]) == []


# --- The server's settings, and its end -----------------------------------------------------------


@pytest.mark.slow
async def test_the_defaults_of_a_server_do_not_matter(own_mariadb: servers.MariaDB) -> None:
    for setting in (
        "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE'",
        "default_storage_engine = 'MyISAM'",
        "character_set_server = 'latin1'",
        "collation_server = 'latin1_german2_ci'",
        "tx_isolation = 'SERIALIZABLE'",
        "time_zone = '+05:30'",
        "autocommit = 0",
    ):
        own_mariadb.sql(f"SET GLOBAL {setting}")
    own_mariadb.sql("CREATE DATABASE hostile CHARACTER SET latin1 COLLATE latin1_german2_ci")
    async with SQLQueue(own_mariadb.url("hostile"), table="order") as queue:
        await queue.setup()
        await queue.push_many([Job(each, "Example", each.encode()) for each in ALIKE])
        jobs = await queue.pop_many(99)
        assert [(job.id, job.payload.decode()) for job in jobs] == [(each, each) for each in ALIKE]
        assert jobs[0].available_at is not None
        assert abs(jobs[0].available_at.timestamp() - time.time()) < 60
        await queue.settle([Settlement(job, "fail") for job in jobs])
        assert {failure.id for failure in await queue.failed_jobs.list()} == set(ALIKE)
    tables = own_mariadb.sql(
        "SELECT engine, table_collation, row_format FROM information_schema.tables WHERE table_schema = 'hostile'"
    )
    assert len(tables) == 6
    assert {(engine, collation[:8], rows) for engine, collation, rows in tables} == {("InnoDB", "utf8mb4_", "Dynamic")}
    columns = own_mariadb.sql(
        "SELECT column_name, column_type, character_set_name FROM information_schema.columns"
        " WHERE table_schema = 'hostile' AND table_name = 'order'"
    )
    assert {name: (kind, charset) for name, kind, charset in columns if name in ("id", "payload", "headers")} == {
        "id": ("varbinary(800)", None),
        "payload": ("longblob", None),
        "headers": ("longtext", "utf8mb4"),
    }


@pytest.mark.slow
async def test_a_server_that_is_read_only_for_a_while_says_so(own_mariadb: servers.MariaDB) -> None:
    own_mariadb.sql("CREATE DATABASE jobs")
    own_mariadb.sql("CREATE USER app@'127.0.0.1' IDENTIFIED BY 's3cret'")
    url = own_mariadb.url("jobs").replace("root@", "app:s3cret@")
    async with SQLQueue(url) as queue:
        with pytest.raises(DriverError, match="this user may not do that") as caught:
            await queue.setup()
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        own_mariadb.sql("GRANT ALL ON jobs.* TO app@'127.0.0.1'")
        await queue.setup()
        own_mariadb.sql("SET GLOBAL read_only = ON")
        with pytest.raises(DriverError, match="read-only at present"):
            await queue.push(JOB)
        own_mariadb.sql("SET GLOBAL read_only = OFF")
        assert await queue.push(JOB)
    async with SQLQueue(url.replace("s3cret", "wr0ng")) as queue:
        with pytest.raises(DriverError, match="refuses this user") as caught:
            await queue.push(JOB)
        assert "wr0ng" not in "".join(traceback.format_exception(caught.value))


async def test_a_client_that_vanishes_in_a_transaction_is_dropped_within_a_minute(queue: SQLQueue) -> None:
    link = queue._database.open()
    variables = link.rows("SELECT @@wait_timeout, @@innodb_lock_wait_timeout, @@tx_isolation, @@autocommit", {})
    queue._database.close(link)
    assert variables == ((60, 5, "READ-COMMITTED", 1),)


async def test_a_silent_server_ends_a_call_within_the_timeout(mariadb_url: str) -> None:
    port = sa.make_url(mariadb_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        async with SQLQueue(sa.make_url(mariadb_url).set(port=proxy.port), timeout=1) as queue:
            await queue.setup()
            await queue.push(JOB)
            proxy.half_open()
            for operation in (queue.push(Job("b", "Example", b"")), queue.size(), queue.pop()):
                began = time.monotonic()
                with pytest.raises(DriverError, match="stopped answering"):
                    await operation
                assert time.monotonic() - began < 3
            proxy.restore()
            assert (await queue.pop()).id == "a"


async def test_closing_does_not_wait_for_a_silent_server(mariadb_url: str) -> None:
    port = sa.make_url(mariadb_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        queue = SQLQueue(sa.make_url(mariadb_url).set(port=proxy.port), timeout=60)
        await queue.setup()
        await queue.push(JOB)
        proxy.half_open()
        pushing = asyncio.create_task(queue.push(Job("b", "Example", b"")))
        began = time.monotonic()
        await asyncio.sleep(0.05)
        await queue.close()
        assert time.monotonic() - began < 10
        with pytest.raises(DriverError):
            await pushing


async def test_tables_that_are_missing_are_named_with_the_way_out(queue: SQLQueue, mariadb_url: str) -> None:
    async with SQLQueue(mariadb_url, table="other") as other:
        with pytest.raises(SchemaMissing, match=r"await queue\.setup\(\)"):
            await other.push(JOB)
    with session(mariadb_url) as cursor:
        cursor.execute("DROP TABLE jobs")
    with pytest.raises(SchemaMissing, match=r"await queue\.setup\(\)"):
        await queue.push(JOB)


async def test_a_database_that_is_missing_is_named(mariadb: servers.MariaDB) -> None:
    async with SQLQueue(mariadb.url("nowhere")) as queue:
        with pytest.raises(DriverError, match=r"no such database as 'mysql://127\.0\.0\.1/nowhere'"):
            await queue.setup()


@pytest.mark.parametrize("driver", ["mysql", "mariadb", "mysql+asyncmy", "mysql+mysqldb", "mariadb+mariadbconnector"])
async def test_whatever_driver_a_url_names_pymysql_it_is(mariadb_url: str, driver: str) -> None:
    async with SQLQueue(mariadb_url.replace("mysql+pymysql", driver)) as queue:
        await queue.setup()
        assert await queue.push(JOB)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("5.7.44-log", r"MySQL 8\.0\.11 or newer is needed, but the server has 5\.7\.44-log: upgrade it"),
        ("8.0.4-rc", r"MySQL 8\.0\.11"),
        ("10.5.29-MariaDB-1:10.5.29+maria~ubu2004", r"MariaDB 10\.6\.0 or newer.* has 10\.5\.29-MariaDB"),
        ("gibberish", "MySQL"),
    ],
)
def test_servers_that_are_too_old_are_refused_by_version(version: str, message: str) -> None:
    with pytest.raises(DriverError, match=message):
        check_version(version)


@pytest.mark.parametrize("version", ["8.0.11", "8.4.3-log", "9.1.0", "10.6.0-MariaDB", "11.8.2-MariaDB-ubu2404"])
def test_servers_that_are_new_enough_are_taken(version: str) -> None:
    check_version(version)


async def test_a_server_that_is_too_old_is_refused_at_the_first_use(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lagoqueue_sql.dialects.mysql.NEEDED", {"MariaDB": (99, 0, 0)})
    async with SQLQueue(mariadb_url) as queue:
        for operation in (queue.setup(), queue.push(JOB)):
            with pytest.raises(DriverError, match=r"MariaDB 99\.0\.0 or newer is needed"):
                await operation


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (pymysql.OperationalError(1213, "Deadlock found"), Trouble.CONFLICT),
        (pymysql.OperationalError(1205, "Lock wait timeout exceeded"), Trouble.CONFLICT),
        (pymysql.OperationalError(2006, "gone away"), Trouble.LOST),
        (pymysql.OperationalError(2013, "lost"), Trouble.LOST),
        (pymysql.OperationalError(2055, "lost"), Trouble.LOST),
        (pymysql.OperationalError(1053, "shutdown in progress"), Trouble.LOST),
        (pymysql.OperationalError(1927, "killed"), Trouble.LOST),
        (pymysql.OperationalError(4031, "inactivity"), Trouble.LOST),
        (pymysql.InterfaceError(0, ""), Trouble.LOST),
        (pymysql.InternalError("Packet sequence number wrong"), Trouble.LOST),
        (pymysql.OperationalError(1290, "--read-only"), Trouble.SPOILT),
        (pymysql.OperationalError(1836, "read-only mode"), Trouble.SPOILT),
        (pymysql.DataError(1406, "Data too long"), Trouble.REFUSED),
        (pymysql.OperationalError(1153, "too big"), Trouble.REFUSED),
        (pymysql.ProgrammingError("not enough arguments"), Trouble.REFUSED),
    ],
)
def test_what_errors_mean(error: Exception, trouble: Trouble) -> None:
    database = MySQL(sa.make_url("mysql://me:s3cret@host/db"), connect_args={}, timeout=10)
    assert database.trouble(error) is trouble
    assert "s3cret" not in str(database.translate(error))


@pytest.mark.parametrize("code", [1062, 1064, 1366])
def test_messages_repeat_no_part_of_a_statement(code: int) -> None:
    database = MySQL(sa.make_url("mysql://host/db"), connect_args={}, timeout=10)
    message = str(database.translate(pymysql.ProgrammingError(code, "near 'payload'")))
    assert message == f"'mysql://host/db' refused (error {code})"
