"""The counters: exact over queue objects, processes and restarts, and what is shown of the last hour and day."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from lagoqueue import Job, Settlement, Worker, current_job, dispatch_many
from lagoqueue.failure import Failure
from lagoqueue.monitor import Durations, FailedFilter, QueueStats
from lagoqueue.monitor.durations import SLOTS, slot_of
from lagoqueue.monitor.tally import PROCESSED, PUSHED, RETRIED, WAIT
from lagoqueue.testing import ManualClock, drain
from lagoqueue_sql import SQLInspector, SQLQueue
from lagoqueue_sql.counting import Counts
from tests.sqlqueue.payloads import Effect
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


# --- How long jobs ran and waited ---------------------------------------------------------------------


def took(*seconds: float) -> Durations:
    slots = [slot_of(each) for each in seconds]
    return Durations(tuple(slots.count(slot) for slot in range(SLOTS)))


async def settle(queue: SQLQueue, *seconds: float | None, label: str = "default") -> None:
    """Acknowledge as many of the jobs that wait, whose handlers ran so long."""
    jobs = await queue.pop_many(len(seconds), labels=[label])
    done = [Settlement(each, "ack", seconds=ran) for each, ran in zip(jobs, seconds, strict=True)]
    assert await queue.settle(done) == []


async def test_what_a_worker_tells_of_its_handlers_is_counted_and_what_nobody_knows_is_not(queue: SQLQueue) -> None:
    await queue.push_many([job(str(number)) for number in range(4)])
    await settle(queue, 0.03, 2.5, None)
    await queue.ack(await queue.pop())
    (row,) = await SQLInspector(queue).activity()
    assert row.run == took(0.03, 2.5)
    assert (await SQLInspector(queue).stats()).totals.processed == 4


async def test_each_delivery_waits_from_when_it_is_due(queue: SQLQueue, clock: ManualClock) -> None:
    await queue.push(job("1"), delay=10)
    clock.advance(10 + 7)
    delivered = await queue.pop()
    clock.advance(1_000)
    await queue.nack(delivered, 30)
    clock.advance(30 + 0.7)
    delivered = await queue.pop()
    await queue.release(delivered)
    await queue.push(job("2"), delay=0)
    await queue.pop_many(2)
    (row,) = await SQLInspector(queue).activity()
    assert row.wait == took(7, 0.7, 0, 0)


async def test_a_settlement_that_was_refused_counts_no_run_time(queue: SQLQueue, clock: ManualClock) -> None:
    await queue.push(job("1"))
    lost = await queue.pop()
    clock.advance(queue.visibility_timeout + 1)
    again = await queue.pop()
    assert await queue.settle([Settlement(lost, "ack", seconds=3.0), Settlement(again, "ack", seconds=0.03)]) == [lost]
    (row,) = await SQLInspector(queue).activity()
    assert row.run == took(0.03)


async def test_a_worker_has_its_handlers_counted_those_too_that_complete_their_jobs(queue: SQLQueue) -> None:
    worker = Worker(queue)

    @worker.handle(Effect)
    def effect(payload: Effect) -> None:
        if payload.number:
            with queue.completing(current_job()):
                pass

    await dispatch_many(queue, [Effect(0), Effect(1), Effect(2)])
    await drain(worker)
    (row,) = await SQLInspector(queue).activity()
    assert (row.run.total, row.wait.total, (await SQLInspector(queue).stats()).totals.processed) == (3, 3, 3)


async def test_times_add_up_over_queues_and_the_last_job_is_the_last_of_all(
    database_url: str, clock: ManualClock
) -> None:
    clock.advance(300 - clock.time() % 300)
    async with SQLQueue(database_url, _clock=clock) as one, SQLQueue(database_url, _clock=clock) as other:
        await one.setup()
        for queue, ran in ((one, 0.03), (other, 2.5), (one, 0.03)):
            await queue.push(job("1"))
            clock.advance(0.15)
            await settle(queue, ran)
            await SQLInspector(queue).stats()
        last_at = clock.now()
        clock.advance(30)
        await other.push(job("2", "bulk"))
        for queue in (other, one):
            bulk, row = await SQLInspector(queue).activity()
            assert (row.run, row.wait) == (took(0.03, 0.03, 2.5), took(0.15, 0.15, 0.15))
            assert row.last_at is not None
            assert abs(row.last_at - last_at) < timedelta(milliseconds=1)
            assert (bulk.pushed, bulk.last_at) == (1, None)
            for minutes in (60, 1_440):
                points = await SQLInspector(queue).history("default", minutes=minutes)
                assert sum((point.run for point in points), Durations()).total == (3 if minutes == 60 else 0)


async def test_when_a_job_was_processed_is_when_it_was_and_not_when_that_was_written(
    queue: SQLQueue, clock: ManualClock
) -> None:
    await queue.push(job("1"))
    await queue.ack(await queue.pop())
    processed_at = clock.now()
    clock.advance(1.5)
    (row,) = await SQLInspector(queue).activity()
    assert row.last_at is not None
    assert abs(row.last_at - processed_at) < timedelta(milliseconds=1)


async def test_an_hour_is_kept_by_ten_seconds_and_a_day_by_five_minutes(queue: SQLQueue, clock: ManualClock) -> None:
    clock.advance(300 - clock.time() % 300)
    inspector = SQLInspector(queue)

    async def push(name: str) -> None:
        queue._chores._prune_at = 0.0  # it is done once a minute, in real time
        await queue.push(job(name))
        await inspector.stats()

    async def kept() -> dict[int, int]:
        spans = queue.metadata.tables["lagoqueue_history"].c.span
        found = sa.select(spans, sa.func.count()).group_by(spans)
        text = str(found.compile(dialect=queue._database.dialect))
        return dict(await queue._run(lambda link, now: link.rows(text, {})))

    await push("1")
    clock.advance(3_609)
    await push("2")
    assert await kept() == {10: 2, 300: 2}
    assert (await inspector.history())[0].pushed == 1  # what a chart begins with is there
    clock.advance(11)
    await push("3")
    assert await kept() == {10: 2, 300: 2}
    clock.advance(86_400 + 279)
    await push("4")
    assert (await inspector.history(minutes=1_440))[0].pushed == 2
    clock.advance(301)
    await push("5")
    assert await kept() == {10: 2, 300: 2}
    assert (await inspector.stats()).totals.pushed == 5


async def test_what_could_not_be_written_is_written_later(url: str, path: Path) -> None:
    async with SQLQueue(url, synchronous="normal") as queue:
        await queue.setup()
        await work(queue)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ALTER TABLE lagoqueue_history RENAME TO away")
            await queue._thread.run(queue._chores.finish)
            await work(queue, prefix="b")
            connection.execute("ALTER TABLE away RENAME TO lagoqueue_history")
        (row,) = await SQLInspector(queue).activity()
        assert (row.pushed, row.wait.total) == (6, 6)
        totals = (await SQLInspector(queue).stats()).totals
        assert (totals.pushed, totals.processed, totals.failed, totals.retried) == (6, 2, 2, 2)


def test_what_is_put_back_is_added_to_what_was_counted_since() -> None:
    now = [1]
    counts = Counts(lambda: now[0])
    counts.settled([Settlement(job("1"), "ack", seconds=1.0), Settlement(job("2", "bulk"), "nack")])
    taken = counts.take()
    assert counts.since is None
    now[0] = 2
    counts.settled([Settlement(job("1"), "ack", seconds=1.0)])
    counts.put_back(taken)
    assert counts.since is not None
    tallies, processed_at = counts.take()
    assert {label: (tally[PROCESSED], tally[RETRIED]) for label, tally in tallies.items()} == {
        "default": (2, 0),
        "bulk": (0, 1),
    }
    assert processed_at == {"default": 2}  # the later of the two


def test_threads_that_count_at_once_lose_nothing() -> None:
    counts = Counts(lambda: 1)

    def count() -> None:
        for _ in range(2_000):
            counts.pushed(["a", "b"])
            counts.waited([("a", 5_000)])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    tallies = counts.take().tallies
    assert (tallies["a"][PUSHED], tallies["b"][PUSHED], sum(tallies["a"][WAIT:])) == (8_000, 8_000, 8_000)
