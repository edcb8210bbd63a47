"""What the dashboard costs the database that it watches: open pages on a queue of a million jobs in PostgreSQL.

The pages ask as the dashboard's own script does, each at its interval, over HTTP. What they cost is
the processor time of all of the server's processes, read from the kernel, less what the server takes
for itself in the same time with no page open.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from quart import Quart

from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table
from lagoqueue_dashboard import dashboard, stand_alone
from lagoqueue_sql import SQLInspector, SQLQueue
from servers import PostgreSQL

TABS = 10
EVERY = 5.0
"""Seconds between two refreshes of a page."""

PAGES = ("overview", "failed", "queue?name=queue-0", "workers", "charts")

FILL = """
    INSERT INTO jobs (id, queue, priority, name, attempts, available_at, headers, payload)
    SELECT 'job-' || n, 'queue-' || n % 10, 0, 'SendWelcomeEmail', 0,
        (extract(epoch FROM now()) * 1e6)::bigint + CASE WHEN n % 5 = 0 THEN 3600000000 ELSE -n END, '{{}}', '{{"user":1}}'
    FROM generate_series(1, {jobs}) AS n;
    INSERT INTO failed_jobs (id, queue, priority, name, attempts, failed_at, kind, error, headers, payload, traceback)
    SELECT 'failed-' || n, 'queue-' || n % 10, 0, 'SendWelcomeEmail', 5, (extract(epoch FROM now()) * 1e6)::bigint - n,
        'SMTPServerDisconnected', 'SMTPServerDisconnected: connection unexpectedly closed', '{{}}', '{{"user":1}}', ''
    FROM generate_series(1, {failed}) AS n;
    VACUUM ANALYZE"""


@dataclass
class Cost:
    """What some open pages cost.

    Attributes:
        name: Which pages.
        seconds: How long they were open.
        server: Seconds of processor time that the database took, beyond what it takes alone.
        own: The same of the process that serves the dashboard and asks for the pages.
        answers: Refreshes that were answered.
    """

    name: str
    seconds: float
    server: float
    own: float
    answers: int


def processor_time(root: int) -> float:
    """Return the seconds of processor time of a process and all below it, those that have ended included."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(map(int, fields[11:15] if pid == root else fields[11:13])) / ticks
    return sum(seconds for pid, seconds in used.items() if pid == root or parents[pid] == root)


async def browse(app: Quart, pages: Sequence[str], seconds: float) -> int:
    """Keep pages open for so long, and return how often they were refreshed."""
    end = time.monotonic() + seconds

    async def tab(number: int, page: str) -> int:
        client = app.test_client()
        path, _, query = page.partition("?")
        await asyncio.sleep(EVERY * number / len(pages))
        answers, seen = 0, ""
        while time.monotonic() < end:
            response = await client.get(f"/queues/api/live/{path}?{query}", headers={"If-None-Match": seen})
            assert response.status_code in (200, 304), await response.get_data(as_text=True)
            seen, answers = response.headers["ETag"], answers + 1
            await asyncio.sleep(EVERY)
        return answers

    return sum(await asyncio.gather(*(tab(number, page) for number, page in enumerate(pages))))


async def measure(name: str, server: PostgreSQL, app: Quart, pages: Sequence[str], seconds: float) -> Cost:
    root = server.pid
    assert root is not None
    before, own = processor_time(root), time.process_time()
    began = time.monotonic()
    answers = await browse(app, pages, seconds) if pages else 0
    if not pages:
        await asyncio.sleep(seconds)
    return Cost(name, time.monotonic() - began, processor_time(root) - before, time.process_time() - own, answers)


async def measure_all(server: PostgreSQL, jobs: int, failed: int, seconds: float) -> list[Cost]:
    url = server.create_database()
    dsn = url.replace("postgresql+psycopg", "postgresql")
    try:
        async with SQLQueue(dsn, wakeup="poll") as queue:
            await queue.setup()
            with psycopg.connect(dsn, autocommit=True) as connection:
                for statement in FILL.format(jobs=jobs, failed=failed).split(";"):
                    connection.execute(statement.encode())
            app = stand_alone(dashboard(SQLInspector(queue), authorize=lambda request: True, refresh=EVERY))
            await browse(app, PAGES, 0.1)
            return [
                await measure("no page open", server, app, (), seconds),
                await measure("1 overview", server, app, ("overview",), seconds),
                await measure(f"{TABS} overviews", server, app, ("overview",) * TABS, seconds),
                await measure(
                    f"{TABS} pages of {len(PAGES)} kinds", server, app, PAGES * (TABS // len(PAGES)), seconds
                ),
            ]
    finally:
        server.drop_database(url)


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure the database's share of a core, and that of the process that serves the pages."""
    jobs, failed, seconds = pick(
        size, full=(1_000_000, 100_000, 60.0), quick=(100_000, 10_000, 3.0), tiny=(100, 10, 0.2)
    )
    costs = asyncio.run(measure_all(stores.postgresql_server, jobs, failed, seconds))
    title = f"The dashboard: pages that refresh every {EVERY:g} s, {jobs:,} jobs and {failed:,} failed in PostgreSQL"
    table = Table("dashboard", title, "% of a core")
    for each in costs:
        table.rows.append(
            Row(f"{each.name}: the database", [100 * each.server / each.seconds], size=f"{each.seconds:.0f} s")
        )
        table.rows.append(
            Row(f"{each.name}: the dashboard", [100 * each.own / each.seconds], size=f"{each.seconds:.0f} s")
        )
    yield table
