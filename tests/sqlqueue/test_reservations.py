"""What SQLite's own way of claiming and reclaiming must get right, beyond the contract."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from lagoqueue import DuplicateJob, Failure, Job, QueueEmpty, ReservationLost, Settlement
from lagoqueue.testing import ManualClock
from lagoqueue_sql import SQLQueue


def jobs(*ids: str, **fields: int) -> list[Job]:
    return [Job(job_id, "Example", b"{}", **fields) for job_id in ids]  # type: ignore[arg-type]


async def test_a_due_job_is_found_under_many_delayed_ones(queue: SQLQueue) -> None:
    await queue.push_many(jobs(*[f"d{n}" for n in range(20_000)], priority=5), delay=3600)
    await queue.push_many(jobs("a", "b"))
    started = time.perf_counter()
    assert [job.id for job in await queue.pop_many(10)] == ["a", "b"]
    with pytest.raises(QueueEmpty):
        await queue.pop()
    assert time.perf_counter() - started < 0.5  # reading past the delayed ones would be 20,000 rows, twice


async def test_a_batch_goes_on_through_priorities_and_labels(queue: SQLQueue) -> None:
    await queue.push_many([*jobs("c", "d"), *jobs("b", priority=1), *jobs("a", priority=9)])
    await queue.named("mail").push_many(jobs("m"))
    await queue.push_many(jobs("late", priority=5), delay=60)
    assert [job.id for job in await queue.pop_many(9, labels=["mail", "default"])] == ["m", "a", "b", "c", "d"]


async def test_expired_reservations_come_back_while_there_is_other_work(url: str) -> None:
    clock = ManualClock()
    async with SQLQueue(url, visibility_timeout=5, synchronous="normal", _clock=clock) as queue:
        await queue.setup()
        await queue.push_many(jobs("old"))
        old = await queue.pop()
        await queue.push_many(jobs("b", "c", "d"))
        clock.advance(5)
        assert (await queue.pop()).id == "old"
        with pytest.raises(ReservationLost):
            await queue.ack(old)


async def test_a_clock_set_back_does_not_stop_recovery(url: str) -> None:
    clock = ManualClock(2_000_000_000)
    async with SQLQueue(url, visibility_timeout=5, synchronous="normal", _clock=clock) as queue:
        await queue.setup()
        with pytest.raises(QueueEmpty):
            await queue.pop()  # the last look for expired ones is now hours ahead of the clock
        clock._start -= 10_000
        await queue.push_many(jobs("a", "b", "c"))
        assert (await queue.pop()).id == "a"
        clock.advance(6)
        assert (await queue.pop()).id == "a"


async def test_of_two_settlements_of_one_reservation_the_first_counts(queue: SQLQueue) -> None:
    await queue.push_many(jobs("a", "b", "c"))
    a, b, c = await queue.pop_many(3)
    stale = Job("c", "Example", b"{}", receipt="forged")
    lost = await queue.settle(
        [
            Settlement(a, "nack", 60),
            Settlement(a, "ack"),
            Settlement(stale, "fail", failure=Failure("E", "E")),
            Settlement(b, "fail", failure=Failure("E", "E")),
            Settlement(c, "release"),
            Settlement(b, "ack"),
        ]
    )
    assert lost == [a, stale, b]
    assert await queue.size() == 2
    assert [record.id for record in await queue.failed_jobs.list()] == ["b"]


async def test_a_stale_settlement_beside_the_present_one_is_told_apart(queue: SQLQueue) -> None:
    await queue.push_many(jobs("a"))
    first = await queue.pop()
    await queue.nack(first)
    second = await queue.pop()
    for action in ("nack", "release"):
        assert await queue.settle([Settlement(first, action), Settlement(second, action)]) == [first]
        second = await queue.pop()
    assert await queue.settle([Settlement(first, "ack"), Settlement(second, "ack")]) == [first]


async def test_receipts_never_repeat_not_even_after_a_retry_from_the_failed_jobs(queue: SQLQueue) -> None:
    await queue.push_many(jobs("a"))
    receipts = set()
    for _ in range(5):
        job = await queue.pop()
        receipts.add(job.receipt)
        await queue.fail(job, Failure("E", "E"))
        await queue.failed_jobs.retry("a")
    assert len(receipts) == 5


async def test_a_batch_is_all_or_nothing_and_names_the_first_duplicate(queue: SQLQueue) -> None:
    await queue.push_many(jobs("c", "z"))
    for batch, duplicate in ((["a", "b", "c", "d"], "c"), (["a", "b", "a"], "a"), (["a", "z", "c", "a"], "z")):
        with pytest.raises(DuplicateJob) as caught:
            await queue.push_many(jobs(*batch))
        assert caught.value.job_id == duplicate
        assert await queue.size() == 2
    assert await queue.push_many(jobs("a", "c", "a"), exist_ok=True) == 1


async def test_a_burial_that_fails_leaves_the_job_reserved(queue: SQLQueue, path: Path) -> None:
    await queue.push_many(jobs("a"))
    job = await queue.pop()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TRIGGER broken BEFORE INSERT ON failed_jobs BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        await queue.fail(job, Failure("E", "E"))
    connection.execute("DROP TRIGGER broken")
    connection.close()
    await queue.extend(job)
    await queue.fail(job, Failure("E", "E"))
    assert await queue.failed_jobs.count() == 1


async def test_a_retry_that_meets_a_live_job_keeps_both(queue: SQLQueue) -> None:
    await queue.push(Job("a", "Example", b"old"))
    await queue.fail(await queue.pop(), Failure("E", "E: 1", "trace"))
    await queue.push(Job("a", "Example", b"new"))
    with pytest.raises(DuplicateJob):
        await queue.failed_jobs.retry("a")
    assert (await queue.failed_jobs.get("a")).job.payload == b"old"
    assert (await queue.pop()).payload == b"new"


async def test_jobs_and_failures_survive_a_new_queue_object(queue: SQLQueue, url: str) -> None:
    pushed = Job("a", "Example", bytes(range(256)), 0, None, "default", -3, {"trace": "00-\u00e9"})
    await queue.push(pushed)
    await queue.fail(await queue.pop(), Failure("E", "E: 1", "trace"))
    await queue.close()
    async with SQLQueue(url) as again:
        failed = await again.failed_jobs.get("a")
        assert (failed.job.payload, failed.job.headers, failed.job.priority) == (bytes(range(256)), pushed.headers, -3)
        assert (failed.job.attempts, failed.traceback) == (1, "trace")
        await again.failed_jobs.retry("a")
        job = await again.pop()
        assert (job.payload, job.headers, job.priority, job.attempts) == (pushed.payload, pushed.headers, -3, 1)


async def test_the_metadata_reads_the_tables(queue: SQLQueue, url: str) -> None:
    table = queue.metadata.tables["jobs"]
    await queue.push_many(jobs("a"))
    job = await queue.pop()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        row = connection.execute(sa.select(table)).one()
    engine.dispose()
    assert (row.id, f"{row.seq}-{row.receipt}") == ("a", job.receipt)
    assert job.available_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.available_at)
    assert row.reserved_until - row.reserved_at == 15 * 60 * 1_000_000
