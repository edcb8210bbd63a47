"""A queue in memory, its failed-jobs store and its inspector keep the rules that every store keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from lagoqueue import MemoryQueue
from lagoqueue.failure import Failure
from lagoqueue.monitor import COUNT_CAP, FailedFilter, History, MemoryInspector
from lagoqueue.testing import ManualClock
from tests.monitor_rules import (
    VISIBILITY_TIMEOUT,
    DetailedInspectorRules,
    FailedJobsRules,
    Scene,
    all_failed,
    all_of_it,
    make_job,
)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    clock = ManualClock()
    async with MemoryQueue(visibility_timeout=VISIBILITY_TIMEOUT, clock=clock) as queue:
        history = History(clock=clock.time)
        inspector = MemoryInspector(None, queue.failed_jobs, queue=queue, history=history)
        yield Scene(queue, queue.failed_jobs, inspector, clock, (history,))


class TestMemoryFailedJobs(FailedJobsRules):
    async def test_one_call_looks_at_ten_thousand_records_and_says_that_there_is_more(self, scene: Scene) -> None:
        store = scene.failed_jobs
        await store.record(make_job("oldest"), "mail", Failure("Rare", "Rare"))
        for number in range(COUNT_CAP):
            await store.record(make_job(str(number)), "mail", Failure("E", "E"))
        await store.record(make_job("newest"), "bulk", Failure("Rare", "Rare"))
        rare = FailedFilter(kind="Rare")
        assert await all_failed(store, rare, 5) == [["newest"], ["oldest"]]
        assert await all_failed(store, FailedFilter(kind="Rare", ids=("oldest",)), 5) == [["oldest"]]
        assert await store.count(cap=COUNT_CAP) == COUNT_CAP
        assert await store.count(rare, cap=COUNT_CAP) == 1
        assert await store.count(rare) == 2
        assert await store.queues() == {"bulk": 1, "mail": COUNT_CAP}
        assert [(group.kind, group.count) for group in await store.groups()] == [("E", COUNT_CAP - 1), ("Rare", 1)]
        assert [result.done for result in await all_of_it(store.retry_many, rare, 5)] == [1, 1]


class TestMemoryInspector(DetailedInspectorRules):
    async def test_counts_stop_at_ten_thousand(self, scene: Scene) -> None:
        await scene.push(*map(str, range(COUNT_CAP + 1)))
        await scene.push(*(f"d{number}" for number in range(COUNT_CAP + 1)), delay=5)
        (depth,) = await scene.inspector.depths()
        assert (depth.pending, depth.delayed, depth.reserved) == (COUNT_CAP, COUNT_CAP, 0)
        await scene.queue.pop_many(COUNT_CAP + 1)
        (depth,) = await scene.inspector.depths()
        assert (depth.pending, depth.delayed, depth.reserved) == (0, COUNT_CAP, COUNT_CAP)

    async def test_an_expired_reservation_shows_as_what_it_is_again(self, scene: Scene) -> None:
        await scene.push("1")
        await scene.queue.pop()
        scene.clock.advance(VISIBILITY_TIMEOUT)
        assert (await scene.inspector.jobs("reserved")).jobs == []
        (view,) = (await scene.inspector.jobs("pending")).jobs
        assert (view.id, view.state, view.reserved_until) == ("1", "pending", None)

    async def test_it_knows_of_no_workers(self, scene: Scene) -> None:
        assert await scene.inspector.workers() is None
