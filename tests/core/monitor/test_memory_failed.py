"""`MemoryFailedJobs`: what it keeps, in which order, and that a retry neither loses nor doubles a job."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidJob, InvalidValue
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor import FailedJob, FailedJobs, MemoryFailedJobs, Stats


def job(job_id: str, *, queue: str = "default", attempts: int = 3) -> Job:
    return Job(
        id=job_id,
        name="Mail",
        payload=b'{"to":1}',
        attempts=attempts,
        available_at=datetime(2020, 1, 1, tzinfo=UTC),
        queue=queue,
        priority=5,
        headers={"trace": "t"},
        receipt="r1",
    )


async def ids(store: FailedJobs, page: int = 1) -> list[str]:
    return [record.id for record in await store.list(page)]


async def test_a_record_holds_the_job_and_why_it_failed() -> None:
    store = MemoryFailedJobs(clock=lambda: 1_700_000_000.5)
    try:
        raise ValueError("bad address")
    except ValueError as error:
        await store.record(job("1"), "mail", error)
    record = await store.get("1")
    assert record == FailedJob(
        id="1",
        queue="mail",
        job=job("1"),
        kind="ValueError",
        error="ValueError: bad address",
        traceback=record.traceback,
        failed_at=datetime.fromtimestamp(1_700_000_000.5, UTC),
    )
    assert 'raise ValueError("bad address")' in record.traceback
    assert record.failed_at.tzinfo is UTC


async def test_a_failure_that_was_described_before_is_kept_as_it_is() -> None:
    store = MemoryFailedJobs()
    await store.record(job("1"), "mail", Failure("Died", "Died: 3 times", "none"))
    record = await store.get("1")
    assert (record.kind, record.error, record.traceback) == ("Died", "Died: 3 times", "none")


async def test_an_exception_that_cannot_be_shown_is_recorded_all_the_same() -> None:
    class NastyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

    store = MemoryFailedJobs()
    await store.record(job("1"), "mail", NastyError())
    assert "str() raised RuntimeError" in (await store.get("1")).error


async def test_put_keeps_a_job_without_awaiting() -> None:
    store = MemoryFailedJobs()
    store.put(job("1"), "mail", ValueError("x"))
    assert await ids(store) == ["1"]


@pytest.mark.parametrize("label", ["", "a\0b", "x" * 101])
async def test_a_label_that_no_queue_can_have_is_refused(label: str) -> None:
    store = MemoryFailedJobs()
    with pytest.raises(InvalidJob, match="label"):
        await store.record(job("1"), label, ValueError("x"))
    assert len(store) == 0


async def test_pages_of_fifty_newest_first_also_when_all_failed_at_one_instant() -> None:
    store = MemoryFailedJobs(clock=lambda: 1_700_000_000.0)
    for number in range(120):
        await store.record(job(str(number)), "mail", ValueError("x"))
    newest_first = [str(number) for number in reversed(range(120))]
    assert await ids(store, 1) == newest_first[:50]
    assert await ids(store, 2) == newest_first[50:100]
    assert await ids(store, 3) == newest_first[100:]
    assert await ids(store, 4) == []
    assert await ids(store, 10**400) == []
    assert len(store) == await store.count() == 120


@pytest.mark.parametrize("page", [0, -1, True, 1.5])
async def test_what_is_no_page_is_refused(page: int) -> None:
    with pytest.raises(InvalidValue, match="page"):
        await MemoryFailedJobs().list(page)


async def test_recording_an_id_again_replaces_it_and_makes_it_the_newest() -> None:
    store = MemoryFailedJobs()
    for job_id in ("1", "2", "3"):
        await store.record(job(job_id), "mail", ValueError("first"))
    await store.record(job("1"), "other", ValueError("second"))
    assert await ids(store) == ["1", "3", "2"]
    record = await store.get("1")
    assert (record.queue, record.error) == ("other", "ValueError: second")


async def test_an_unknown_id_is_not_found() -> None:
    store = MemoryFailedJobs(lambda _: None)
    for call in (store.get, store.retry, store.forget):
        with pytest.raises(FailedJobNotFound, match="'nope'"):
            await call("nope")


async def test_forget_drops_one_and_flush_all() -> None:
    requeued: list[Job] = []
    store = MemoryFailedJobs(requeued.append)
    for job_id in ("1", "2", "3"):
        await store.record(job(job_id), "mail", ValueError("x"))
    await store.forget("2")
    assert await ids(store) == ["3", "1"]
    assert await store.flush() == 2
    assert await store.flush() == 0
    assert await ids(store) == []
    assert requeued == []


def test_an_empty_store_is_still_true() -> None:
    store = MemoryFailedJobs()
    assert len(store) == 0
    assert store


# --- Retry ------------------------------------------------------------------------------------


async def test_retry_requeues_a_fresh_job_where_it_failed_and_drops_the_record() -> None:
    requeued: list[Job] = []

    async def push(one: Job) -> bool:
        requeued.append(one)
        return True

    store = MemoryFailedJobs(push)
    await store.record(job("1", queue="default"), "mail", ValueError("x"))
    returned = await store.retry("1")
    fresh = Job(id="1", name="Mail", payload=b'{"to":1}', queue="mail", priority=5, headers={"trace": "t"})
    assert requeued == [fresh]
    assert returned == fresh
    assert len(store) == 0


async def test_a_sync_requeue_will_do() -> None:
    requeued: list[Job] = []
    store = MemoryFailedJobs(requeued.append)
    await store.record(job("1"), "mail", ValueError("x"))
    await store.retry("1")
    assert [one.id for one in requeued] == ["1"]
    assert len(store) == 0


async def test_without_requeue_retry_only_forgets_and_counts_nothing() -> None:
    stats = Stats()
    store = MemoryFailedJobs(stats=stats)
    await store.record(job("1"), "mail", ValueError("x"))
    await store.retry("1")
    assert len(store) == 0
    assert stats.snapshot().totals.retried == 0


async def test_retries_are_counted_under_the_recorded_label() -> None:
    stats = Stats()
    store = MemoryFailedJobs(lambda _: None).with_stats(stats)
    assert isinstance(store, MemoryFailedJobs)
    await store.record(job("1"), "mail", ValueError("x"))
    await store.retry("1")
    assert [(row.queue, row.retried) for row in stats.snapshot().queues] == [("mail", 1)]


async def test_a_requeue_that_fails_keeps_the_record_and_a_later_one_succeeds() -> None:
    live = True
    requeued: list[str] = []

    async def push(one: Job) -> None:
        if live:
            raise DuplicateJob(one.id)
        requeued.append(one.id)

    stats = Stats()
    store = MemoryFailedJobs(push, stats=stats)
    await store.record(job("1"), "mail", ValueError("x"))
    before = await store.get("1")
    with pytest.raises(DuplicateJob):
        await store.retry("1")
    assert await store.get("1") is before
    assert stats.snapshot().totals.retried == 0
    live = False
    await store.retry("1")
    assert requeued == ["1"]
    assert len(store) == 0
    assert stats.snapshot().totals.retried == 1


class SlowRequeue:
    """A requeue that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.requeued: list[str] = []

    async def __call__(self, one: Job) -> None:
        self.begun.set()
        await self.go_on.wait()
        self.requeued.append(one.id)


async def test_of_two_retries_at_once_one_requeues_and_the_other_finds_nothing() -> None:
    requeue = SlowRequeue()
    store = MemoryFailedJobs(requeue)
    await store.record(job("1"), "mail", ValueError("x"))
    first = asyncio.create_task(store.retry("1"))
    await requeue.begun.wait()
    with pytest.raises(FailedJobNotFound):
        await store.retry("1")
    assert await store.count() == 1  # not dropped before it is requeued
    requeue.go_on.set()
    await first
    assert requeue.requeued == ["1"]
    assert await store.count() == 0


async def test_a_cancelled_retry_keeps_the_record_and_can_be_repeated() -> None:
    requeue = SlowRequeue()
    store = MemoryFailedJobs(requeue)
    await store.record(job("1"), "mail", ValueError("x"))
    cancelled = asyncio.create_task(store.retry("1"))
    await requeue.begun.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await ids(store) == ["1"]
    requeue.go_on.set()
    await store.retry("1")
    assert requeue.requeued == ["1"]


async def test_a_job_that_fails_again_before_its_retry_returns_keeps_the_new_record() -> None:
    requeue = SlowRequeue()
    store = MemoryFailedJobs(requeue)
    await store.record(job("1"), "mail", ValueError("first"))
    retry = asyncio.create_task(store.retry("1"))
    await requeue.begun.wait()
    await store.record(job("1"), "mail", ValueError("again"))  # a fast worker had it already
    requeue.go_on.set()
    await retry
    assert (await store.get("1")).error == "ValueError: again"
    await store.retry("1")
    assert requeue.requeued == ["1", "1"]


async def test_forgetting_during_a_retry_drops_the_record_and_lets_the_retry_end() -> None:
    requeue = SlowRequeue()
    store = MemoryFailedJobs(requeue)
    await store.record(job("1"), "mail", ValueError("x"))
    retry = asyncio.create_task(store.retry("1"))
    await requeue.begun.wait()
    await store.forget("1")
    requeue.go_on.set()
    assert (await retry).id == "1"
    assert await store.count() == 0


def test_threads_may_record_list_and_retry_at_once_and_each_job_is_requeued_once() -> None:
    requeued: list[str] = []  # list.append is atomic
    store = MemoryFailedJobs(lambda one: requeued.append(one.id))
    threads, each = 6, 200
    together = threading.Barrier(threads)

    def work(number: int) -> int:
        async def all_of_it() -> int:
            won = 0
            for step in range(each):
                await store.record(job(f"{number}-{step}"), "mail", Failure("E", "E"))
                await store.list()
                for victim in (number, (number + 1) % threads):  # two threads go for each job
                    try:
                        await store.retry(f"{victim}-{step}")
                        won += 1
                    except FailedJobNotFound:
                        pass
            return won

        together.wait()
        return asyncio.run(all_of_it())

    with ThreadPoolExecutor(threads) as pool:
        won = sum(pool.map(work, range(threads)))
    everything = sorted(f"{number}-{step}" for number in range(threads) for step in range(each))
    assert sorted(requeued) == everything
    assert won == len(everything)
    assert len(store) == 0
