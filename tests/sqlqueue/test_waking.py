"""How soon a process starts what another one pushes, and how little it asks meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import servers
from lagoqueue import Job, QueueEmpty, dispatch
from lagoqueue_sql.claim import LONGEST_SWEEP
from lagoqueue_sql.dialects.postgresql import PostgreSQL
from lagoqueue_sql.link import Link, Row, Values
from lagoqueue_sql.statements import Statements
from tests.sqlqueue.payloads import Effect, connect
from tests.sqlqueue.processes import PATIENCE, Effects, Processes

PUSHES = 50


async def test_a_waiting_pop_is_woken_long_before_it_would_look(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgreSQL, "poll", PATIENCE)
    async with connect(postgres_url) as consumer, connect(postgres_url) as producer:
        await consumer.setup()
        for number in range(5):
            popping = asyncio.create_task(consumer.pop(PATIENCE))
            await asyncio.sleep(0.3 if number == 0 else 0.02)  # the first one has to connect, twice
            began = time.monotonic()
            await producer.push(Job(f"job-{number}", "Example", b"{}"))
            await consumer.ack(await popping)
            assert time.monotonic() - began < 1


async def test_without_notifications_a_waiting_pop_looks_every_second(postgres_url: str) -> None:
    async with connect(postgres_url, wakeup="poll") as consumer, connect(postgres_url) as producer:
        await consumer.setup()
        popping = asyncio.create_task(consumer.pop(PATIENCE))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await producer.push(Job("a", "Example", b"{}"))
        await consumer.ack(await popping)
        assert time.monotonic() - began < 1.25 * PostgreSQL.poll + 1


async def test_short_waits_sweep_no_more_often_than_long_ones(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = 0
    reclaim = PostgreSQL.reclaim

    def counted(self: PostgreSQL, link: Link, sql: Statements, values: Values) -> Sequence[Row]:
        nonlocal sweeps
        sweeps += 1
        return reclaim(self, link, sql, values)

    monkeypatch.setattr(PostgreSQL, "reclaim", counted)
    async with connect(postgres_url) as queue:
        await queue.setup()
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(QueueEmpty):
                await queue.pop(0.01)
        assert sweeps <= 1 + (time.monotonic() - began) / LONGEST_SWEEP


@pytest.mark.slow
async def test_an_idle_process_starts_what_another_pushes_at_once(postgres_url: str, tmp_path: Path) -> None:
    effects = Effects(tmp_path / "effects")
    chance = random.Random(1)
    pushed: list[float] = []
    async with connect(postgres_url) as queue:
        await queue.setup()
        with Processes(tmp_path) as processes:
            (worker,) = processes.work(postgres_url, effects)
            for number in range(PUSHES):
                await asyncio.sleep(chance.uniform(0.03, 0.08))  # so that it waits
                pushed.append(time.time())
                await dispatch(queue, Effect(number))
                await effects.until(number + 1)
            worker.stop()
    waits = sorted(effects.done[number][0].at - pushed[number] for number in range(PUSHES))
    middle, late = statistics.median(waits), waits[PUSHES * 99 // 100 - 1]
    print(
        f"from dispatch to start: p50 {middle * 1000:.1f} ms, p99 {late * 1000:.1f} ms, longest {waits[-1] * 1000:.1f} ms"
    )
    assert middle < 0.25  # a worker that polls would take half a second


@pytest.mark.slow
async def test_an_idle_worker_asks_about_twice_a_second(own_postgresql: servers.PostgreSQL, tmp_path: Path) -> None:
    url = own_postgresql.create_database()
    async with connect(url) as queue:
        await queue.setup()
    own_postgresql.config("log_statement", "all")
    with Processes(tmp_path) as processes:
        (worker,) = processes.work(url, Effects(tmp_path / "effects"))
        await asyncio.sleep(2)  # until it has started
        before = statements(own_postgresql)
        await asyncio.sleep(10)
        asked = statements(own_postgresql)[len(before) :]
        worker.stop()
    print(f"{len(asked)} statements in 10 s:", *sorted(asked), sep="\n")
    assert 0 < len(asked) <= 24


def statements(server: servers.PostgreSQL) -> list[str]:
    """What the server was asked so far, as its log has it."""
    return [
        " ".join(text.split())
        for text in re.findall(r"LOG:  (?:statement|execute [^:]*): ([^\0]{80})", server.log.read_text())
    ]
