"""A million jobs and a million failed ones: what each look reads stays small, and comes from the indexes.

Times are not asserted, since they depend on the machine. What is counted is how many rows, or steps of
SQLite's machine, a call costs; a call that sorted or read a table would cost a million.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import sqlalchemy as sa

from lagoqueue.monitor import COUNT_CAP, FailedFilter
from lagoqueue_sql import SQLInspector, SQLQueue
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link, Row, Values

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROWS = 1_000_000
RESERVED = 1_000
LABELS = 5

Call = Callable[[], Awaitable[Any]]

# --- Loading --------------------------------------------------------------------------------------

_NUMBERS = {
    "sqlite": "(WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {rows}) SELECT n FROM g)",
    "postgresql": "(SELECT n FROM generate_series(1, {rows}) AS each(n))",
    "mysql": "(SELECT CAST(seq AS SIGNED) AS n FROM seq_1_to_{rows})",
}
"""The numbers from 1 on."""

_AS_TEXT = {"sqlite": "CAST(n AS TEXT)", "postgresql": "CAST(n AS TEXT)", "mysql": "CAST(n AS CHAR)"}
_BYTES = {"sqlite": "x'7b7d'", "postgresql": "CAST('{}' AS bytea)", "mysql": "'{}'"}

_JOBS = """
    INSERT INTO jobs (id, queue, priority, name, payload, headers, attempts, available_at)
    SELECT TEXT, CASE n % {labels} WHEN 0 THEN 'a' WHEN 1 THEN 'b' WHEN 2 THEN 'c' WHEN 3 THEN 'd' ELSE 'e' END,
           n % 3 - 1, 'Mail', BYTES, '{{}}', 0,
           CASE WHEN n % 4 = 0 THEN {now} + 3600000000 + n ELSE {now} - n END
    FROM NUMBERS AS numbers"""
_FAILED = """
    INSERT INTO failed_jobs
        (id, queue, priority, name, payload, headers, attempts, kind, error, traceback, failed_at)
    SELECT TEXT, CASE WHEN n = 1 THEN 'rare' WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, 0,
           CASE WHEN n % 2 = 0 THEN 'Mail' ELSE 'Bill' END, BYTES, '{{}}', 3,
           CASE WHEN n % 10 = 0 THEN 'KeyError' ELSE 'ValueError' END, 'ValueError: something is wrong with it',
           'Traceback (most recent call last): a few lines of it', {now} - ({rows} - n) * 1000
    FROM NUMBERS AS numbers"""


def load(url: str) -> None:
    """Fill the tables: labels and priorities in turn, a quarter of the jobs delayed."""
    engine = sa.create_engine(url)
    kind = engine.dialect.name
    for template in (_JOBS, _FAILED):
        text = template.replace("NUMBERS", _NUMBERS[kind]).replace("TEXT", _AS_TEXT[kind])
        text = text.replace("BYTES", _BYTES[kind].replace("{}", "{{}}"))
        statement = text.format(rows=ROWS, labels=LABELS, now=int(time.time() * 1_000_000))
        with engine.begin() as connection:
            connection.execute(sa.text(statement.replace(":", "\\:")))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if kind == "postgresql":
            connection.exec_driver_sql("VACUUM ANALYZE")
        elif kind == "mysql":
            connection.exec_driver_sql("ANALYZE TABLE jobs, failed_jobs").all()
    engine.dispose()


@pytest_asyncio.fixture
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[SQLQueue]:
    settings: dict[str, Any] = {"synchronous": "normal"} if request.param == "url" else {}
    url = request.getfixturevalue(request.param)
    async with SQLQueue(url, **settings) as queue:
        await queue.setup()
        load(url)
        keeper = queue.keeper()
        await queue.pop_many(RESERVED, labels=["b", "c"])
        yield queue
        keeper.close()


def calls(queue: SQLQueue) -> dict[str, Call]:
    """Everything that looks, with the worst of arguments: filters that nothing meets, labels that are rare."""
    inspector, failed = SQLInspector(queue), queue.failed_jobs
    rare, none, text = FailedFilter(queue="rare"), FailedFilter(kind="None"), FailedFilter(queue="a", text="None")
    ids = FailedFilter(ids=tuple(str(number * 997) for number in range(1, 1_001)))
    return {
        "depths": inspector.depths,
        "stats": inspector.stats,
        "history": inspector.history,
        "workers": inspector.workers,
        "job": lambda: inspector.job("77"),
        "pending": lambda: inspector.jobs("pending"),
        "pending of a label": lambda: inspector.jobs("pending", "e", limit=1_000),
        "delayed": lambda: inspector.jobs("delayed"),
        "delayed of a label": lambda: inspector.jobs("delayed", "e", limit=1_000),
        "reserved": lambda: inspector.jobs("reserved"),
        "reserved of a label": lambda: inspector.jobs("reserved", "e"),
        "first page": lambda: inspector.pending("a"),
        "later page": lambda: inspector.pending("a", 100),
        "first failed page": inspector.failed,
        "search": failed.search,
        "search rare label": lambda: failed.search(rare),
        "search kind": lambda: failed.search(none),
        "search label and text": lambda: failed.search(text),
        "search ids": lambda: failed.search(ids),
        "count": lambda: failed.count(cap=COUNT_CAP),
        "count label and text": lambda: failed.count(text, cap=COUNT_CAP),
        "queues": failed.queues,
        "groups": failed.groups,
        "groups of a label": lambda: failed.groups(FailedFilter(queue="a", kind="KeyError")),
    }


MOST = 2 * COUNT_CAP * LABELS + 2 * COUNT_CAP + 2 * RESERVED
"""Rows that `depths` may read: 10,000 due, delayed and failed under each label, and what is reserved."""


def allowed(name: str) -> int:
    """Return how many rows a call may read: mostly 10,000 at most three times, as numbers and as records."""
    return MOST if name == "depths" else 3 * COUNT_CAP + 100


async def pages_go_on(queue: SQLQueue) -> None:
    """A page far from the start is the next of the one before it."""
    inspector = SQLInspector(queue)
    page = await inspector.jobs("pending", limit=1_000)
    again = await inspector.jobs("pending", after=page.next, limit=1_000)
    assert not {view.id for view in page.jobs} & {view.id for view in again.jobs}
    assert (await queue.failed_jobs.search(FailedFilter(kind="None"))).next is not None
    depths = {depth.queue: depth for depth in await inspector.depths()}
    assert (depths["a"].pending, depths["a"].delayed, depths["a"].failed) == (COUNT_CAP,) * 3
    assert (depths["rare"].failed, depths["b"].reserved + depths["c"].reserved) == (1, RESERVED)


# --- PostgreSQL: what each plan reads ---------------------------------------------------------------


@pytest.mark.parametrize("queue", ["postgres_url"], indirect=True)
async def test_postgresql_reads_little_and_sorts_little(
    queue: SQLQueue, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Values]] = []
    run = Link.rows

    def rows(link: Link, statement: str, values: Values) -> Any:
        seen.append((statement, values))
        return run(link, statement, values)

    monkeypatch.setattr(Link, "rows", rows)
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        for name, call in calls(queue).items():
            seen.clear()
            await call()
            assert seen, name
            read = 0
            for statement, values in seen:
                query = f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}"
                ((plan,),) = connection.execute(query.encode(), values).fetchall()
                for node in nodes(plan[0]["Plan"]):
                    read += rows_read(node)
                    text = f"{name}: {json.dumps(node, indent=1)[:2_000]}"
                    assert not (node["Node Type"] == "Seq Scan" and is_large(node)), text
                    assert "Sort" not in node["Node Type"] or node["Actual Rows"] <= COUNT_CAP, text
            assert read <= allowed(name), name
    await pages_go_on(queue)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def is_large(node: dict[str, Any]) -> bool:
    return node["Relation Name"] in ("jobs", "failed_jobs")


def rows_read(node: dict[str, Any]) -> int:
    """Return the rows of a large table that a node read, those included that it did not let through."""
    if not is_large(node | {"Relation Name": node.get("Relation Name")}):
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


# --- SQLite: how many steps its machine takes -------------------------------------------------------

STEPS = 40
"""Steps of SQLite's machine that reading a row and doing something with it takes at most."""


@pytest.mark.parametrize("queue", ["url"], indirect=True)
async def test_sqlite_takes_few_steps_and_scans_nothing(queue: SQLQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    plans: list[str] = []
    run = Link.rows

    def count() -> None:
        nonlocal steps
        steps += 100

    def rows(link: Link, statement: str, values: Values) -> Any:
        link.connection.set_progress_handler(None, 0)
        plans.extend(row[3] for row in run(link, f"EXPLAIN QUERY PLAN {statement}", values))
        link.connection.set_progress_handler(count, 100)
        found = run(link, statement, values)
        link.connection.set_progress_handler(None, 0)
        return found

    for name, call in calls(queue).items():
        steps = 0
        plans.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Link, "rows", rows)
            await call()
        assert plans, name
        assert steps <= STEPS * allowed(name), name
        scans = [plan for plan in plans if plan.startswith(("SCAN jobs", "SCAN failed_jobs"))]
        assert len(scans) <= (1 if name == "first failed page" else 0), name  # which stops after one row
    await pages_go_on(queue)


# --- MariaDB: how many rows its handlers read -------------------------------------------------------


@pytest.mark.parametrize("queue", ["mariadb_url"], indirect=True)
async def test_mariadb_reads_little(queue: SQLQueue) -> None:
    for name, call in calls(queue).items():
        before = await handler_reads(queue)
        await call()
        assert 0 < await handler_reads(queue) - before <= 2 * allowed(name), name  # what is put aside is read again
    await pages_go_on(queue)


async def handler_reads(queue: SQLQueue) -> int:
    """Return the rows that the connection of those who look has read."""

    def status(link: Link) -> list[Row]:
        return list(link.rows("SHOW SESSION STATUS LIKE 'Handler_read%%'", {}))

    rows = await queue._looker.run(lambda store: store.run(status, Mode.READ))
    return sum(int(value) for _, value in rows)
