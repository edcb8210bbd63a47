"""The counters: exact over queue objects, processes and restarts, and what is shown of the last hour."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lagoqueue import Job
from lagoqueue.failure import Failure
from lagoqueue.monitor import FailedFilter, QueueStats
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLInspector, SQLQueue
from tests.sqlqueue.processes import ROOT, each_database

database_url = each_database("sqlite", "postgresql", "mariadb")

DONE = """
import asyncio, sys
from lagoqueue import Job
from lagoqueue_sql import SQLQueue

async def main(url):
    async with SQLQueue(url) as queue:
        await queue.push_many([Job(f"p{number}", "Example", b"{}") for number in range(5)])
        for job in await queue.pop_many(3):
            await queue.ack(job)

asyncio.run(main(sys.argv[1]))
"""
"""Pushes five jobs and processes three of them."""


def job(job_id: str, queue: str = "default") -> Job:
    return Job(job_id, "Example", b"{}", queue=queue)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def queue(database_url: str, clock: ManualClock) -> AsyncIterator[SQLQueue]:
    async with SQLQueue(database_url, _clock=clock) as queue:
        await queue.setup()
        yield queue


async def work(queue: SQLQueue, *, label: str = "default", prefix: str = "") -> None:
    """Take three jobs through all that is counted: one is processed, one retried, one fails."""
    await queue.push_many([job(f"{prefix}{number}", label) for number in range(3)])
    one, two, three = await queue.pop_many(3, labels=[label])
    await queue.ack(one)
    await queue.nack(two, 1_000)
    await queue.fail(three, Failure("E", "E"))


async def test_what_was_done_is_counted_by_label_at_once(queue: SQLQueue) -> None:
    inspector = SQLInspector(queue)
    assert (await inspector.stats()).totals == QueueStats("")
    await work(queue)
    await work(queue, label="bulk", prefix="b")
    await queue.push(job("b9", "bulk"))
    view = await inspector.stats()
    assert [(row.queue, row.pushed, row.processed, row.failed, row.retried, row.pending) for row in view.queues] == [
        ("bulk", 4, 1, 1, 1, 2),
        ("default", 3, 1, 1, 1, 1),
    ]
    totals = view.totals
    assert (totals.queue, totals.pushed, totals.processed, totals.failed, totals.retried, totals.pending) == (
        *("", 7, 2, 2, 2),
        3,
    )


async def test_what_is_brought_back_from_the_failed_jobs_counts_as_retried(queue: SQLQueue) -> None:
    await work(queue)
    await work(queue, prefix="b")
    await queue.failed_jobs.retry("2")
    await queue.failed_jobs.retry_many(FailedFilter())
    assert (await SQLInspector(queue).stats()).totals.retried == 4


async def test_throughput_is_what_was_processed_in_the_last_minute(queue: SQLQueue, clock: ManualClock) -> None:
    inspector = SQLInspector(queue)
    clock.advance(10 - clock.time() % 10)  # to where ten seconds begin
    await queue.push_many([job(str(number)) for number in range(30)])
    for reserved in await queue.pop_many(30):
        await queue.ack(reserved)
    assert (await inspector.stats()).queues[0].throughput == pytest.approx(30 / 60)
    clock.advance(55)
    assert (await inspector.stats()).totals.throughput == pytest.approx(30 / 60, abs=0.01)
    clock.advance(10)  # half of the ten seconds are out of the window
    assert (await inspector.stats()).totals.throughput == pytest.approx(15 / 60, abs=0.01)
    clock.advance(10)
    view = await inspector.stats()
    assert (view.totals.throughput, view.totals.processed) == (0.0, 30)


async def test_a_history_has_a_point_for_each_ten_seconds(queue: SQLQueue, clock: ManualClock) -> None:
    inspector = SQLInspector(queue)
    clock.advance(10 - clock.time() % 10)
    await work(queue)
    await inspector.stats()  # so that what follows counts in its own ten seconds
    clock.advance(30)
    await work(queue, label="bulk", prefix="b")
    await inspector.stats()
    assert [point.pushed for point in await inspector.history(minutes=1)][-3:] == [
        3,
        0,
        0,
    ]  # the present ones are left out
    clock.advance(10)
    points = await inspector.history(minutes=1)
    assert len(points) == 6
    counts = [(point.pushed, point.processed, point.failed, point.retried) for point in points]
    assert counts == [(0, 0, 0, 0)] * 2 + [(3, 1, 1, 1)] + [(0, 0, 0, 0)] * 2 + [(3, 1, 1, 1)]
    assert {(point.at.timestamp() % 10) for point in points} == {0.0}
    assert [point.pushed for point in await inspector.history("bulk", minutes=1)] == [0, 0, 0, 0, 0, 3]
    assert len(await inspector.history()) == 360
    clock.advance(3_600)
    assert {point.pushed for point in await inspector.history()} == {0}
    assert (await inspector.stats()).totals.pushed == 6


async def test_counters_outlive_a_restart_and_add_up_over_queues(database_url: str) -> None:
    async with SQLQueue(database_url) as first:
        await first.setup()
        await work(first)
    async with SQLQueue(database_url) as second, SQLQueue(database_url) as third:
        await asyncio.gather(work(second, prefix="b"), work(third, label="bulk", prefix="c"))
        await SQLInspector(second).stats()
        totals = (await SQLInspector(third).stats()).totals
        assert (totals.pushed, totals.processed, totals.failed, totals.retried) == (9, 3, 3, 3)


async def test_counters_of_two_tables_are_not_mixed(database_url: str) -> None:
    async with SQLQueue(database_url) as one, SQLQueue(database_url, table="others") as two:
        await one.setup()
        await two.setup()
        await work(one)
        await two.push(job("1"))
        assert (await SQLInspector(one).stats()).totals.pushed == 3
        assert (await SQLInspector(two).stats()).totals.pushed == 1


async def test_counters_of_other_processes_are_in_once_those_have_ended(database_url: str) -> None:
    async with SQLQueue(database_url) as queue:
        await queue.setup()
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", DONE, database_url], check=True, timeout=60, cwd=ROOT
        )
        await work(queue)
        totals = (await SQLInspector(queue).stats()).totals
        assert (totals.pushed, totals.processed, totals.failed, totals.retried, totals.pending) == (8, 4, 1, 1, 3)
