"""SQL in labels, ids, names, payloads, headers, errors and filters is text; in names of tables it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from lagoqueue import DuplicateJob, Failure, InvalidValue, Job, QueueEmpty, WorkerInfo
from lagoqueue.monitor import FailedFilter
from lagoqueue_sql import SQLInspector, SQLQueue, SyncSQLQueue

pytestmark = pytest.mark.security

TEXTS = [
    *("'; DROP TABLE jobs; --", '"; DROP TABLE jobs; --', "`; DROP TABLE jobs; --", "x'; DELETE FROM users; --"),
    *("\\'; DROP TABLE jobs; --", "\\", "\\\\", "\\'", '\\"', "''", "'", '"', "`", ";", "\\.", "\\N", "\\x27", "\\n"),
    *(
        "' OR '1'='1",
        "' OR 1=1 #",
        "1 OR 1=1",
        "x' UNION SELECT name FROM users --",
        "*/ DROP TABLE jobs /*",
        "--",
        "#",
    ),
    *("%", "_", "%%", "%s", "%(id)s", ":id", ":queue", "?", "$1", "{jobs}", "{", "{{7*7}}", "[]", "{}", "null", "0"),
    *(
        "$$; DROP TABLE jobs; $$",
        "E'\\''",
        "0x27",
        "\u2019 OR 1=1",
        "\u02bc",
        "\uff07; DROP TABLE jobs",
        "\xbf'",
        "\xbf\\'",
    ),
    *("a\nb", "\n", "\r", "\t", "\x1a", "\x1b", "\x7f", "\u2028", "\u202e", "\U0001f642", " ", "a ", " a", "A", "a"),
]
"""What would be SQL, or a pattern, a parameter, an escape, a line of COPY, or another text once it is folded."""


@contextmanager
def users_of(url: str) -> Iterator[sa.Connection]:
    """A connection of the application's own, whose table holds one user."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (name VARCHAR(20) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO users VALUES ('ada')")
    with engine.connect() as connection:
        yield connection


def job(text: str) -> Job:
    return Job(text, text, text.encode(), queue=text, headers={text: text})


def failure(text: str) -> Failure:
    return Failure(f"kind <{text}>", f"before {text} after", text)


async def test_whatever_a_job_holds_every_statement_takes_it_for_text(database_url: str) -> None:
    with users_of(database_url) as connection:
        async with SQLQueue(database_url) as queue:
            await queue.setup()
            tables = set(sa.inspect(connection).get_table_names())
            await queue.push(Job("bystander", "Bystander", b"{}", queue="bystanders"))
            await queue.failed_jobs.record(
                Job("gone", "Bystander", b"{}", queue="bystanders"), "bystanders", OSError("x")
            )
            await _is_pushed(queue, connection)
            await _is_looked_at(queue)
            await _is_run(queue)
            await _is_searched(queue)
            await _is_counted(queue)
            assert (await queue.pop(labels=["bystanders"])).id == "bystander"
            assert (await queue.failed_jobs.get("gone")).queue == "bystanders"
        connection.rollback()
        assert set(sa.inspect(connection).get_table_names()) == tables
        assert connection.exec_driver_sql("SELECT name FROM users").all() == [("ada",)]


async def _is_pushed(queue: SQLQueue, connection: sa.Connection) -> None:
    """By every way in: alone, together, as a batch, and in a transaction of the caller's."""
    parts = [TEXTS[start::4] for start in range(4)]
    await queue.push(job(parts[0][0]))
    await asyncio.gather(*(queue.push(job(text)) for text in parts[0][1:]))
    await queue.push_many([job(text) for text in parts[1]])
    assert await queue.push_many([job(text) for text in parts[2]], exist_ok=True) == len(parts[2])
    for text in parts[1]:
        with pytest.raises(DuplicateJob) as caught:
            await queue.push_many([Job("new", "Example", b"{}"), job(text)])
        assert caught.value.job_id == text
    within = queue.within(connection)
    within.push_sync(job(parts[3][0]))
    within.push_many_sync([job(text) for text in parts[3][1:]])
    connection.commit()


async def _is_looked_at(queue: SQLQueue) -> None:
    inspector = SQLInspector(queue)
    depths = {depth.queue: depth.pending for depth in await inspector.depths()}
    assert depths == dict.fromkeys([*TEXTS, "bystanders"], 1)
    for text in TEXTS:
        assert await queue.size(labels=[text]) == 1
        detail = (await inspector.job(text)).job
        assert (detail.id, detail.name, detail.payload, detail.queue) == (text, text, text.encode(), text)
        assert detail.headers == {text: text}
        assert [view.id for view in (await inspector.jobs("pending", text)).jobs] == [text]
        assert [view.id for view in await inspector.pending(text)] == [text]
        assert len(await inspector.history(text)) > 0


async def _is_run(queue: SQLQueue) -> None:
    """Each is popped by its label alone, given back, popped again, extended and failed."""
    keeper = queue.keeper(WorkerInfo(tuple(TEXTS), 1, "'; DROP TABLE jobs; --"))
    keeper.beat([])
    for text in TEXTS:
        popped = await queue.pop(labels=[text])
        assert (popped.id, popped.payload) == (text, text.encode())
        with pytest.raises(QueueEmpty):
            await queue.pop(labels=[text])
        await queue.extend(popped)
        await queue.release(popped)
        await queue.nack(await queue.pop(labels=[text]))
        await queue.fail(await queue.pop(labels=[text]), failure(text))
    (worker,) = await SQLInspector(queue).workers()
    assert worker.queues == tuple(TEXTS)
    keeper.close()


async def _is_searched(queue: SQLQueue) -> None:
    """A filter finds what Python's own comparison finds, and nothing else is touched by what is done to it."""
    store = queue.failed_jobs
    failed = [await store.get(text) for text in (*TEXTS, "gone")]
    for text, each in zip(TEXTS, failed, strict=False):
        assert (each.queue, each.kind, each.error, each.traceback) == (
            *(text, f"kind <{text}>", f"before {text} after", text),
        )
        for meant in (
            FailedFilter(text=text),
            FailedFilter(queue=text),
            FailedFilter(name=text),
            FailedFilter(kind=f"kind <{text}>"),
            FailedFilter(ids=(text,)),
            FailedFilter(queue=text, name=text, kind=f"kind <{text}>", text=text, ids=(text, "gone")),
        ):
            found = {view.id for view in (await store.search(meant, limit=1000)).jobs}
            assert found == {each.id for each in failed if meant.matches(each)}, meant
            assert await store.count(meant) == len(found)
        ((group),) = await store.groups(FailedFilter(queue=text))
        assert (group.kind, group.name, group.example) == (f"kind <{text}>", text, text)
        one = FailedFilter(queue=text, name=text, kind=f"kind <{text}>", text=text)
        assert (await store.retry_many(one)).done == 1
        await queue.fail(await queue.pop(labels=[text]), failure(text))
        await store.retry(text)
        await queue.fail(await queue.pop(labels=[text]), failure(text))
    assert set(await store.queues()) == {*TEXTS, "bystanders"}
    for text in TEXTS[::2]:
        await store.forget(text)
    for text in TEXTS[1::2]:
        assert (await store.forget_many(FailedFilter(ids=(text,), text=text))).done == 1
    assert [view.id for view in (await store.search()).jobs] == ["gone"]


async def _is_counted(queue: SQLQueue) -> None:
    counted = {row.queue: (row.pushed, row.failed) for row in (await SQLInspector(queue).stats()).queues}
    assert set(counted) == {*TEXTS, "bystanders"}
    assert {counted[text] for text in TEXTS} == {(1, 3)}


# --- Names of tables ----------------------------------------------------------------------------------

REFUSED: list[Any] = [
    *("", " ", "jobs ", " jobs", "my jobs", "jobs\n", "jobs\t", "jobs\0", "jobs\0; DROP TABLE users"),
    *('jobs"', "jobs'", "jobs`", 'a"; DROP TABLE users; --', "a`; DROP TABLE users; --", "jobs; DROP TABLE users"),
    *("jobs--", "jobs/*", "jobs#", "jobs\\", "public.jobs", 'public"."jobs', "jobs@link", "jobs(id)", "(SELECT 1)"),
    *("jobs%s", "jobs%(x)s", "jobs:x", "jobs?", "jobs$1", "{jobs}", "jobs{now}", "1jobs", "-jobs", "[jobs]", "x" * 50),
    *(
        "j\u043ebs",
        "\uff4aobs",
        "jo\u200bbs",
        "jobs\u2028",
        "\u202ejobs",
        "jo\u0301bs",
        "j\u00f6bs",
        "\u0661jobs",
        "jobs\u00b2",
    ),
    *("jobs\ud800", "jobs\uff02; DROP TABLE users", "jobs\u02bc", "\U0001d4d9obs"),
    *("sqlite_master", "SQLITE_x", "lagoqueue_schema", "Lagoqueue_Workers", "lagoqueue_totals", "lagoqueue_history"),
    *(None, 5, b"jobs", ["jobs"], True),
]

URLS = ("sqlite:///jobs.db", "postgresql://host/shop", "mysql://host/shop")


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("made", [SQLQueue, SyncSQLQueue])
def test_a_name_that_is_more_than_a_name_is_refused_for_both_tables(url: str, made: Any) -> None:
    for name in REFUSED:
        with pytest.raises(InvalidValue, match="table"):
            made(url, table=name, failed_table="failed")
        if name is not None:  # which means the usual one
            with pytest.raises(InvalidValue, match="failed_table"):
                made(url, failed_table=name)


TAKEN = [
    *(("select", "table"), ("order", "group"), ("user", "where"), ("NULL", "true"), ("current_user", "default")),
    *(("Jobs", "Failed_Jobs"), ("_", "__"), ("x" * 49, "y" * 49), ("information_schema", "pg_catalog")),
]
"""Words that mean something to a database, and the longest names; each pair works, quoted."""


async def test_every_other_name_is_a_name(database_url: str) -> None:
    with users_of(database_url) as connection:
        for table, failed_table in TAKEN:
            async with SQLQueue(database_url, table=table, failed_table=failed_table) as queue:
                await queue.setup()
                await queue.push_many([Job("a", "Example", b"{}"), Job("b", "Example", b"{}")])
                keeper = queue.keeper()
                keeper.beat([])
                await queue.fail(await queue.pop(wait=5))
                await queue.failed_jobs.retry("a")
                assert sorted(each.id for each in await queue.pop_many(2)) == ["a", "b"]
                assert {check.level for check in await SQLInspector(queue).health()} <= {"good", "warn"}
                assert await queue.failed_jobs.count() == 0
                keeper.close()
        connection.rollback()
        names = set(sa.inspect(connection).get_table_names())
        assert names >= {name for pair in TAKEN for name in pair}
        assert connection.exec_driver_sql("SELECT name FROM users").all() == [("ada",)]
