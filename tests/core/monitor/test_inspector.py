"""`MemoryInspector`: what it shows of counters, store and queue, and what is left when they are missing."""

from __future__ import annotations

import pytest

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidValue, JobNotFound, ReadOnly
from lagoqueue.job import Job
from lagoqueue.memory import MemoryQueue
from lagoqueue.monitor import (
    DetailedInspector,
    Inspector,
    JobPage,
    JobView,
    MemoryFailedJobs,
    MemoryInspector,
    QueueDepth,
    QueueStats,
    Sampler,
    Stats,
    StatsView,
)
from lagoqueue.testing import ManualClock


def job(number: int, queue: str = "mail") -> Job:
    return Job(id=str(number), name="Mail", payload=b'"secret"', attempts=1, queue=queue)


async def test_with_nothing_to_look_at_it_shows_nothing_and_refuses_to_act() -> None:
    inspector: Inspector = MemoryInspector()
    assert await inspector.stats() == StatsView([], QueueStats(""))
    assert await inspector.pending("mail") == []
    assert await inspector.failed() == []
    for act in (inspector.retry("1"), inspector.forget("1"), inspector.flush_failed()):
        with pytest.raises(ReadOnly, match="no failed-jobs store"):
            await act


async def test_it_shows_the_counters_as_they_are_now() -> None:
    stats = Stats()
    inspector = MemoryInspector(stats)
    stats.on_pushed("mail")
    assert (await inspector.stats()).totals.pushed == 1
    stats.on_pushed("mail")
    assert (await inspector.stats()).totals.pushed == 2
    assert await inspector.failed() == []
    with pytest.raises(ReadOnly):
        await inspector.flush_failed()


async def test_an_empty_store_is_a_store() -> None:
    inspector = MemoryInspector(None, MemoryFailedJobs())
    assert await inspector.flush_failed() == 0
    with pytest.raises(FailedJobNotFound):
        await inspector.forget("1")


async def test_failed_jobs_are_shown_by_pages_with_their_label_and_error() -> None:
    store = MemoryFailedJobs()
    for number in range(51):
        await store.record(job(number), "recorded", ValueError("no"))
    inspector = MemoryInspector(failed=store)
    first, second = await inspector.failed(), await inspector.failed(2)
    assert [view.id for view in first] == [str(number) for number in range(50, 0, -1)]
    record = await store.get("0")
    assert second == [
        JobView("0", "recorded", "Mail", 1, error="ValueError: no", failed_at=record.failed_at, state="failed")
    ]
    assert await inspector.failed(3) == []


async def test_it_acts_on_the_store() -> None:
    requeued: list[Job] = []
    store = MemoryFailedJobs(requeued.append)
    inspector = MemoryInspector(failed=store)
    for number in range(4):
        await store.record(job(number), "mail", ValueError("no"))
    await inspector.retry("3")
    await inspector.forget("2")
    assert [one.id for one in requeued] == ["3"]
    assert [view.id for view in await inspector.failed()] == ["1", "0"]
    with pytest.raises(FailedJobNotFound):
        await inspector.retry("3")
    assert await inspector.flush_failed() == 2
    assert await inspector.failed() == []


async def test_what_the_store_refuses_comes_through() -> None:
    def push(one: Job) -> None:
        raise DuplicateJob(one.id)

    store = MemoryFailedJobs(push)
    await store.record(job(1), "mail", ValueError("no"))
    with pytest.raises(DuplicateJob):
        await MemoryInspector(failed=store).retry("1")
    assert await store.count() == 1


async def test_pending_jobs_of_one_label_by_pages() -> None:
    jobs = [job(number, "mail" if number < 60 else "bulk") for number in range(65)]
    queue = MemoryQueue(clock=ManualClock())
    await queue.push_many(jobs)
    inspector = MemoryInspector(queue=queue)
    assert [view.id for view in await inspector.pending("mail")] == [str(number) for number in range(50)]
    assert [view.id for view in await inspector.pending("mail", 2)] == [str(number) for number in range(50, 60)]
    assert await inspector.pending("mail", 3) == []
    assert await inspector.pending("bulk") == [JobView.of(one) for one in jobs[60:]]
    assert await inspector.pending("unknown") == []


@pytest.mark.parametrize("page", [0, -3, True, 1.0, "2"])
@pytest.mark.parametrize(
    "inspector",
    [MemoryInspector(), MemoryInspector(Stats(), MemoryFailedJobs(), queue=MemoryQueue())],
    ids=["bare", "whole"],
)
async def test_the_same_pages_are_refused_with_and_without_a_store(inspector: MemoryInspector, page: int) -> None:
    with pytest.raises(InvalidValue, match="page"):
        await inspector.failed(page)
    with pytest.raises(InvalidValue, match="page"):
        await inspector.pending("mail", page)


# --- In detail ----------------------------------------------------------------------------------


async def test_without_a_queue_there_are_no_jobs_but_the_failed_ones_are_counted() -> None:
    store = MemoryFailedJobs()
    await store.record(job(1), "mail", ValueError("no"))
    inspector = MemoryInspector(None, store)
    assert inspector.failed_jobs is store
    assert await inspector.depths() == [QueueDepth("mail", failed=1)]
    assert await inspector.jobs("pending") == JobPage([], None)
    with pytest.raises(JobNotFound):
        await inspector.job("1")


async def test_without_a_store_the_queue_can_be_seen() -> None:
    queue = MemoryQueue(clock=ManualClock())
    await queue.push(job(1))
    inspector = MemoryInspector(queue=queue)
    assert inspector.failed_jobs is None
    assert [(depth.queue, depth.pending, depth.failed) for depth in await inspector.depths()] == [("mail", 1, 0)]


class Plain:
    """An inspector that has no more than every one has."""

    async def stats(self) -> StatsView:
        return StatsView([QueueStats("mail", processed=3)], QueueStats("", processed=3))

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        return [JobView("1", queue, "Mail", 0)]

    async def failed(self, page: int = 1) -> list[JobView]:
        return [JobView("2", "mail", "Mail", 3, error="E: no")]

    async def retry(self, job_id: str) -> None:
        raise FailedJobNotFound(job_id)

    async def forget(self, job_id: str) -> None:
        raise FailedJobNotFound(job_id)

    async def flush_failed(self) -> int:
        return 0


async def test_an_inspector_without_details_is_one_and_can_be_told_from_one_with_them() -> None:
    inspector: Inspector = Plain()
    assert not isinstance(inspector, DetailedInspector)
    assert isinstance(MemoryInspector(), DetailedInspector)
    sampler = Sampler(inspector)
    await sampler.sample()
    await sampler.sample()
    assert [sample.processed for sample in sampler.window("mail")] == [0]
    (view,) = await inspector.pending("mail")
    assert (view.state, view.worker, view.reserved_at) == (None, None, None)
