"""A server crashes, or lets nobody write for a while: a worker waits quietly, goes on, and has lost nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

import servers
from tests.sqlqueue.load import Load
from tests.sqlqueue.payloads import connect

pytestmark = pytest.mark.slow

LINES_A_SECOND = 4
"""Records that a second of an outage may log."""


async def test_a_worker_goes_on_after_a_crash_of_postgresql(
    own_postgresql: servers.PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    await crash(own_postgresql, caplog)


async def test_a_worker_goes_on_after_a_crash_of_mariadb(
    own_mariadb: servers.MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    await crash(own_mariadb, caplog)


async def crash(server: servers.PostgreSQL | servers.MariaDB, caplog: pytest.LogCaptureFixture) -> None:
    async with connect(server.create_database(), timeout=5) as queue:
        await queue.setup()
        load = Load(queue)
        async with load.working():
            await load.push_for(1)
            began = time.monotonic()
            pushing = asyncio.create_task(load.push_for(3))
            await asyncio.to_thread(server.crash)
            away = time.monotonic() - began
            await pushing
            await load.drained()
            whole = time.monotonic() - began
        assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
    print(f"away for {away:.1f} s, {load.pushed} jobs, {len(load.unknown)} of them pushed again")
    print(f"{len(caplog.records)} log records", *(record.getMessage() for record in caplog.records), sep="\n")
    load.check()
    assert len(caplog.records) < LINES_A_SECOND * whole


async def test_a_worker_waits_while_the_server_is_read_only(
    own_postgresql: servers.PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = 10.0
    async with connect(own_postgresql.create_database()) as queue:
        await queue.setup()
        load = Load(queue)
        async with load.working():
            await load.push_for(1)
            await asyncio.to_thread(own_postgresql.config, "default_transaction_read_only", "on")
            pushing = asyncio.create_task(load.push_for(seconds))
            await asyncio.sleep(seconds)
            seen = [record.getMessage() for record in caplog.records]
            await asyncio.to_thread(own_postgresql.config, "default_transaction_read_only", "off")
            began = time.monotonic()
            await pushing
            await load.drained()
            back = time.monotonic() - began
        assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
    print(f"{load.pushed} jobs; the last was done {back:.1f} s after the server could be written to again")
    print(f"{len(seen)} log records meanwhile", *seen, sep="\n")
    load.check()
    assert seen
    assert all("is read-only at present" in line for line in seen)
    assert len(seen) < LINES_A_SECOND * seconds
