"""PostgreSQL ends sessions under load: a worker goes on, every job is done once, and the log stays readable."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
import sqlalchemy as sa

import servers
from lagoqueue_sql.dialects.postgresql import PostgreSQL
from tests.sqlqueue.load import Load
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import PATIENCE

LINES_A_SECOND = 10
"""Records that a second of trouble may log."""


LISTENING = "query LIKE ANY (ARRAY['LISTEN%', 'SELECT 1'])"
"""Which session listens, by its last statement."""


@pytest.mark.parametrize("seconds", [3.0, pytest.param(30.0, marks=pytest.mark.slow)])
async def test_a_worker_whose_sessions_end_all_the_time_does_every_job_once(
    postgresql: servers.PostgreSQL, postgres_url: str, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    ended = 0
    async with connect(postgres_url) as queue:
        await queue.setup()
        load = Load(queue)
        async with load.working():
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await load.push_for(0.2)
                ended += await asyncio.to_thread(postgresql.end_sessions, postgres_url)
            await load.drained()
        assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
    print(f"{ended} sessions ended, {load.pushed} jobs, {len(load.unknown)} of them pushed again")
    print(f"{len(caplog.records)} log records in {seconds:g} s")
    load.check()
    assert ended > 5 * seconds
    assert len(caplog.records) < LINES_A_SECOND * seconds


async def test_a_worker_whose_ear_was_cut_off_listens_again(
    postgresql: servers.PostgreSQL, postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgreSQL, "poll", PATIENCE)  # so that nothing but the ear wakes it
    caplog.set_level(logging.DEBUG, "lagoqueue.sql")
    async with connect(postgres_url) as queue, connect(postgres_url) as producer:
        await queue.setup()
        load = Load(queue, producer=producer)
        async with load.working():
            for number in range(3):
                await until_listening(postgresql, postgres_url)
                assert await asyncio.to_thread(postgresql.end_sessions, postgres_url, LISTENING) == 1
                await until_listening(postgresql, postgres_url)
                pushed_at = time.monotonic()
                await load.push()
                await load.drained()
                waited = load.started[number] - pushed_at
                print(f"started {waited * 1000:.1f} ms after the push")
                assert waited < 0.5
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]
    load.check()


async def until_listening(server: servers.PostgreSQL, url: str) -> None:
    name = sa.make_url(url).database
    deadline = time.monotonic() + PATIENCE
    while not server.sql(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND {LISTENING}"):
        assert time.monotonic() < deadline, "nobody listens"
        await asyncio.sleep(0.02)
