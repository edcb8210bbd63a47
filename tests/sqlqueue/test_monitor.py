"""Failed jobs and the inspector of a database keep the rules that every store keeps."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from lagoqueue.errors import DriverError, InvalidValue, QueueClosed
from lagoqueue.failure import Failure
from lagoqueue.monitor import COUNT_CAP, FailedFilter
from lagoqueue.queue import WorkerInfo
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLInspector, SQLQueue
from lagoqueue_sql.failed import record
from lagoqueue_sql.failed_search import FLUSHED
from lagoqueue_sql.keeper import SILENCE
from lagoqueue_sql.rows import job_row
from lagoqueue_sql.statements_looking import LEVELS
from lagoqueue_sql.store import Store
from tests.monitor_rules import (
    VISIBILITY_TIMEOUT,
    DetailedInspectorRules,
    FailedJobsRules,
    Scene,
    all_failed,
    all_jobs,
    all_of_it,
    flat,
    make_job,
)
from tests.sqlqueue.processes import each_database

database_url = each_database("sqlite", "postgresql", "mariadb")


def open_queue(url: str, clock: ManualClock | None, **settings: Any) -> SQLQueue:
    if url.startswith("sqlite"):
        settings |= {"synchronous": "normal"}
    return SQLQueue(url, visibility_timeout=VISIBILITY_TIMEOUT, _clock=clock, **settings)


@pytest_asyncio.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    clock = ManualClock()
    async with open_queue(database_url, clock) as queue:
        await queue.setup()
        yield Scene(queue, queue.failed_jobs, SQLInspector(queue), clock)


class TestSQLFailedJobs(FailedJobsRules):
    pass


class TestSQLInspector(DetailedInspectorRules):
    pass


# --- Beside the rules -----------------------------------------------------------------------------


async def test_one_call_looks_at_ten_thousand_records_and_says_that_there_is_more(scene: Scene) -> None:
    store = scene.failed_jobs
    await scene.record("oldest", kind="Rare")
    await fill_failed(scene.queue, COUNT_CAP)
    await scene.record("newest", queue="bulk", kind="Rare")
    rare = FailedFilter(kind="Rare")
    assert await all_failed(store, rare, 5) == [["newest"], ["oldest"]]
    assert await all_failed(store, FailedFilter(kind="Rare", queue="mail"), 5) == [[], ["oldest"]]
    assert await all_failed(store, FailedFilter(kind="Rare", ids=("oldest",)), 5) == [["oldest"]]
    assert await store.count(cap=COUNT_CAP) == COUNT_CAP
    assert await store.count(rare, cap=COUNT_CAP) == 1
    assert await store.count(FailedFilter(kind="Rare", queue="mail"), cap=COUNT_CAP + 1) == 1
    assert await store.count(rare) == 2
    assert await store.queues() == {"bulk": 1, "mail": COUNT_CAP}
    assert [(group.kind, group.count) for group in await store.groups()] == [("E", COUNT_CAP - 1), ("Rare", 1)]
    assert [result.done for result in await all_of_it(store.retry_many, rare, 5)] == [1, 1]
    assert await store.flush() == COUNT_CAP
    assert await store.count() == 0


async def fill_failed(queue: Any, number: int) -> None:
    """Put records of kind E under "mail", quickly."""
    row = job_row(make_job("x"), None)
    rows = [({**row, "id": str(each), "queue": "mail"}, Failure("E", "E")) for each in range(number)]
    await queue._run(lambda link, now: record(link, queue._sql, rows, now=now))


async def test_counts_of_live_jobs_stop_at_ten_thousand(scene: Scene) -> None:
    jobs = [make_job(str(number), priority=number % 2) for number in range(COUNT_CAP + 1)]
    await scene.queue.push_many(jobs)
    await scene.queue.push_many([make_job(f"d{number}") for number in range(COUNT_CAP + 1)], delay=5)
    (depth,) = await scene.inspector.depths()
    assert (depth.pending, depth.delayed, depth.reserved) == (COUNT_CAP, COUNT_CAP, 0)
    await scene.queue.pop_many(COUNT_CAP + 1)
    (depth,) = await scene.inspector.depths()
    assert (depth.pending, depth.delayed, depth.reserved) == (0, COUNT_CAP, COUNT_CAP)


async def test_more_reserved_jobs_of_other_labels_than_one_call_looks_at_hide_none(scene: Scene) -> None:
    await scene.queue.push_many([make_job(str(number), queue="bulk") for number in range(COUNT_CAP + 3)])
    await scene.queue.pop_many(COUNT_CAP + 3, labels=["bulk"])
    scene.clock.advance(1)
    await scene.push("last", queue="mail")
    await scene.queue.pop(labels=["mail"])
    pages = await all_jobs(scene.inspector, "reserved", "mail", 5)
    assert flat(pages) == ["last"]
    assert len(pages) > 1
    assert [(d.queue, d.reserved) for d in await scene.inspector.depths()] == [("bulk", COUNT_CAP), ("mail", 1)]


async def test_pages_by_number_show_what_waits_and_what_failed(scene: Scene) -> None:
    inspector = scene.inspector
    for number in range(120):
        await scene.push(f"{number:03}", priority=-(number // 45), delay=60 if number % 2 else None)
    pages = [[view.id for view in await inspector.pending("default", page)] for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    due, delayed = [f"{n:03}" for n in range(0, 120, 2)], [f"{n:03}" for n in range(1, 120, 2)]
    expected = [
        job_id for level in range(3) for part in (due, delayed) for job_id in part if int(job_id) // 45 == level
    ]
    assert flat(pages) == expected
    assert {view.state for view in await inspector.pending("default")} == {"pending", "delayed"}
    await scene.record(*(f"f{number}" for number in range(51)))
    first = await inspector.failed()
    assert [view.id for view in first] == [f"f{number}" for number in range(50, 0, -1)]
    assert (first[0].state, first[0].error, first[0].attempts) == ("failed", "ValueError: no", 3)
    assert [view.id for view in await inspector.failed(2)] == ["f0"]
    assert await inspector.failed(10**9) == await inspector.failed(3) == []
    for refused in (inspector.failed(0), inspector.pending("default", 0), inspector.pending("")):
        with pytest.raises(InvalidValue):
            await refused


async def test_the_three_actions_on_failed_jobs_are_the_stores(scene: Scene) -> None:
    await scene.record("1", "2", "3", "4")
    await scene.inspector.retry("1")
    assert (await scene.queue.pop(labels=["mail"])).id == "1"
    await scene.inspector.forget("2")
    assert await scene.inspector.flush_failed() == 2
    assert await scene.kept() == []


async def test_many_priorities_are_many_levels(scene: Scene) -> None:
    jobs = [make_job(f"{number:05}", queue="a", priority=-number) for number in range(LEVELS + 2)]
    await scene.queue.push_many(jobs)
    await scene.push("b", queue="b")
    assert [depth.queue for depth in await scene.inspector.depths()] == ["a", "b"]
    pages = await all_jobs(scene.inspector, "pending", None, 1_000)
    assert flat(pages) == [*(job.id for job in jobs), "b"]
    assert flat(await all_jobs(scene.inspector, "delayed", None, 1_000)) == []


async def test_a_cursor_of_another_label_is_refused(scene: Scene) -> None:
    await scene.push("1", "2", queue="mail")
    page = await scene.inspector.jobs("pending", "mail", limit=1)
    with pytest.raises(InvalidValue, match="after"):
        await scene.inspector.jobs("pending", "bulk", after=page.next)


async def test_two_that_retry_the_same_at_once_bring_each_back_once(scene: Scene, database_url: str) -> None:
    await scene.record(*map(str, range(40)))
    async with open_queue(database_url, scene.clock) as other:
        results = await asyncio.gather(
            *(store.retry_many(FailedFilter()) for store in (scene.failed_jobs, other.failed_jobs))
        )
    assert sum(result.done for result in results) == 40
    assert [result.skipped for result in results] == [[], []]
    assert await scene.queue.size(labels=["mail"]) == 40
    assert await scene.kept() == []


async def test_a_flush_leaves_what_fails_meanwhile_and_holds_no_other_call_up(scene: Scene) -> None:
    await fill_failed(scene.queue, 2 * FLUSHED + 1)
    flushing = asyncio.create_task(scene.failed_jobs.flush())
    await scene.queue.push(make_job("new"))  # is done between two of its transactions
    assert not flushing.done()
    await scene.failed_jobs.record(make_job("new"), "mail", Failure("E", "E"))
    assert await flushing == 2 * FLUSHED + 1
    assert await scene.kept() == ["new"]


# --- Workers ----------------------------------------------------------------------------------------


async def test_a_worker_is_seen_with_what_it_has_reserved_until_it_is_silent(scene: Scene) -> None:
    queue, inspector = scene.queue, scene.inspector
    assert isinstance(queue, SQLQueue)
    assert await inspector.workers() == []
    keeper = queue.keeper(WorkerInfo(queues=("mail", "bulk"), concurrency=3, name="host:1"))
    await scene.push("1", "2", queue="mail")
    await scene.push("else", queue="bulk")
    (job,) = await queue.pop_many(1, labels=["mail"])
    (worker,) = await inspector.workers() or []
    assert (worker.queues, worker.concurrency, worker.pid) == (("mail", "bulk"), 3, os.getpid())
    assert [(view.id, view.state, view.worker) for view in worker.running] == [("1", "reserved", worker.id)]
    assert worker.started_at == worker.beaten_at
    assert abs(worker.started_at - scene.clock.now()) < timedelta(milliseconds=1)
    assert (await inspector.jobs("reserved")).jobs[0].worker == worker.id
    scene.clock.advance(5)
    await asyncio.to_thread(keeper.beat, [job])
    (worker,) = await inspector.workers() or []
    assert (worker.beaten_at - worker.started_at).total_seconds() == 5
    scene.clock.advance(SILENCE + 1)
    assert await inspector.workers() == []
    await asyncio.to_thread(keeper.beat, [job])
    assert len(await inspector.workers() or ()) == 1
    await queue.ack(job)
    assert (await inspector.workers() or [])[0].running == []
    await asyncio.to_thread(keeper.close)
    assert await inspector.workers() == []


async def test_a_workers_list_of_jobs_is_bounded(scene: Scene) -> None:
    keeper = scene.queue.keeper()
    assert keeper is not None
    await scene.queue.push_many([make_job(str(number)) for number in range(60)])
    await scene.queue.pop_many(60)
    (worker,) = await scene.inspector.workers() or []
    assert len(worker.running) == 50
    await asyncio.to_thread(keeper.close)


# --- Its own connection -----------------------------------------------------------------------------


async def test_it_looks_beside_the_queues_own_connection(scene: Scene) -> None:
    queue = scene.queue
    assert isinstance(queue, SQLQueue)
    await scene.push("1")
    busy, done = threading.Event(), threading.Event()

    def hold(store: Store) -> None:
        busy.set()
        done.wait(30)

    holding = asyncio.create_task(queue._thread.run(hold))
    await asyncio.to_thread(busy.wait)
    try:
        assert [depth.pending for depth in await scene.inspector.depths()] == [1]
        assert (await scene.failed_jobs.search()).jobs == []
    finally:
        done.set()
        await holding


async def test_a_closed_queue_shows_no_more(scene: Scene) -> None:
    assert await scene.inspector.depths() == []
    await scene.queue.close()
    for call in (scene.inspector.depths(), scene.inspector.stats(), scene.failed_jobs.search()):
        with pytest.raises(QueueClosed):
            await call


async def test_an_inspector_is_of_a_queue_itself(scene: Scene) -> None:
    with pytest.raises(InvalidValue, match="NamedSQLQueue"):
        SQLInspector(scene.queue.named("mail"))  # type: ignore[arg-type]


async def test_a_look_that_a_lock_holds_up_ends_with_an_error(postgres_url: str) -> None:
    async with SQLQueue(postgres_url, timeout=0.3) as queue:
        await queue.setup()
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
            connection.execute("LOCK TABLE jobs")
            with pytest.raises(DriverError, match="in time"):
                await SQLInspector(queue).depths()
        assert await SQLInspector(queue).depths() == []
