"""Starting, stopping, draining, losing reservations, and stores that fail."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from lagoqueue import (
    DriverError,
    Job,
    MemoryQueue,
    Queue,
    QueueClosed,
    Settlement,
    Worker,
    WorkerInfo,
    WorkerRunning,
    current_job,
    dispatch,
    dispatch_many,
    dispatch_sync,
)
from tests.core.payloads import Resize, SendWelcomeEmail
from tests.core.recorder import Recorder


async def running(worker: Worker) -> asyncio.Task[None]:
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    return task


async def test_stop_lets_the_running_job_finish_and_takes_no_other() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    started, go_on = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        await go_on.wait()
        finished.append(payload.width)

    await dispatch_many(queue, [Resize(1), Resize(2)])
    task = await running(worker)
    await started.wait()
    worker.stop()
    worker.stop()
    go_on.set()
    await asyncio.wait_for(task, 5)
    assert finished == [1]
    assert [job.attempts for job in queue.jobs()] == [0]


async def test_stop_from_another_thread_wakes_an_idle_worker_at_once() -> None:
    worker = Worker(MemoryQueue(), poll=3600)
    task = await running(worker)
    threading.Thread(target=worker.stop).start()
    await asyncio.wait_for(task, 5)


async def test_stop_before_run_makes_that_run_return_and_not_the_next() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    ran: list[object] = []
    worker.handle(Resize, ran.append)
    await dispatch(queue, Resize(1))
    worker.stop()
    await asyncio.wait_for(worker.run(), 5)
    assert ran == []
    await worker.run(burst=True)
    assert ran == [Resize(1)]


async def test_a_worker_runs_once_at_a_time_and_again_after_that() -> None:
    worker = Worker(MemoryQueue())
    task = await running(worker)
    with pytest.raises(WorkerRunning):
        await worker.run()
    worker.stop()
    await asyncio.wait_for(task, 5)
    await asyncio.wait_for(worker.run(burst=True), 5)


async def test_after_the_grace_period_handlers_are_cancelled_and_their_jobs_released_unspent() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, concurrency=3, prefetch=3, grace=0.05, observers=[recorder])
    started = asyncio.Barrier(4)

    @worker.handle(Resize)
    async def forever(payload: Resize) -> None:
        await started.wait()
        await asyncio.Event().wait()

    await dispatch_many(queue, [Resize(n) for n in range(6)])
    task = await running(worker)
    await started.wait()
    worker.stop()
    await asyncio.wait_for(task, 5)
    assert [job.attempts for job in queue.jobs()] == [0] * 6
    assert await queue.size() == 6
    assert recorder.names().count("released") == 6


async def test_a_second_stop_does_not_wait() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, grace=3600)
    started = asyncio.Event()

    @worker.handle(Resize)
    async def forever(payload: Resize) -> None:
        started.set()
        await asyncio.Event().wait()

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    worker.stop()
    await asyncio.sleep(0)
    assert not task.done()
    worker.stop(0)
    await asyncio.wait_for(task, 5)
    assert [job.attempts for job in queue.jobs()] == [0]


async def test_a_longer_grace_than_the_workers_own_is_kept() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, grace=0)
    started, go_on = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        await go_on.wait()
        finished.append(payload.width)

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    worker.stop(60)
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.wait_for(task, 5)
    assert finished == [1]


async def test_a_handler_that_ignores_cancellation_does_not_hold_the_worker() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, grace=0)
    started, end = asyncio.Event(), asyncio.Event()

    @worker.handle(Resize)
    async def stubborn(payload: Resize) -> None:
        started.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert await queue.size() == 1, "its job was given back"
    end.set()
    await asyncio.sleep(0.01)


async def test_a_thread_that_outlives_the_grace_period_does_not_hold_the_worker() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, grace=0)
    started, end = threading.Event(), threading.Event()

    @worker.handle(Resize)
    def block(payload: Resize) -> None:
        started.set()
        end.wait(30)

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await asyncio.to_thread(started.wait, 10)
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert await queue.size() == 1
    end.set()


async def test_cancelling_run_drains_and_re_raises() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    started, go_on = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        await go_on.wait()
        finished.append(payload.width)

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert finished == [1]
    assert queue.jobs() == []


async def test_cancelling_run_twice_does_not_wait() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, grace=3600)
    started = asyncio.Event()

    @worker.handle(Resize)
    async def forever(payload: Resize) -> None:
        started.set()
        await asyncio.Event().wait()

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert [job.attempts for job in queue.jobs()] == [0]


async def test_a_push_wakes_an_idle_worker_at_once() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, poll=3600)
    ran = asyncio.Event()

    @worker.handle(Resize)
    async def note(payload: Resize) -> None:
        ran.set()

    task = await running(worker)
    await asyncio.to_thread(dispatch_sync, queue, Resize(1))
    await asyncio.wait_for(ran.wait(), 5)
    worker.stop()
    await asyncio.wait_for(task, 5)


async def test_a_handler_that_never_suspends_does_not_starve_the_loop() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, concurrency=2, prefetch=100)
    began = asyncio.Event()
    done = 0

    @worker.handle(Resize)
    async def busy(payload: Resize) -> None:
        nonlocal done
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass
        done += 1
        began.set()

    await dispatch_many(queue, [Resize(n) for n in range(300)])
    task = await running(worker)
    await began.wait()
    worker.stop()
    await asyncio.wait_for(task, 5)
    assert done < 100
    assert all(job.attempts == 0 for job in queue.jobs())


# --- Reservations -----------------------------------------------------------------------------------


async def test_a_handler_that_blocks_the_event_loop_past_its_visibility_timeout_keeps_its_job() -> None:
    queue = MemoryQueue(visibility_timeout=0.3)
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])

    @worker.handle(Resize)
    async def block(payload: Resize) -> None:
        time.sleep(1.0)  # noqa: ASYNC251 - the blocked loop is what is tested

    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "processed"]


async def test_a_job_that_is_drained_for_longer_than_the_visibility_timeout_is_kept() -> None:
    queue = MemoryQueue(visibility_timeout=0.3)
    ran: list[str] = []
    began = asyncio.Event()

    def worker_named(name: str) -> Worker:
        worker = Worker(queue, grace=30)

        @worker.handle(Resize)
        async def take_long(payload: Resize) -> None:
            ran.append(name)
            began.set()
            await asyncio.sleep(1.0)  # three times as long as nobody would have to wait for it

        return worker

    draining, other = worker_named("draining"), worker_named("other")
    await dispatch(queue, Resize(1))
    task = await running(draining)
    await began.wait()
    draining.stop()
    others = await running(other)
    await asyncio.wait_for(task, 10)
    other.stop()
    await asyncio.wait_for(others, 10)
    assert ran == ["draining"]
    assert queue.jobs() == []


async def test_a_lost_reservation_cancels_the_handler_and_settles_nothing() -> None:
    queue = MemoryQueue(visibility_timeout=0.2)
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])
    started, cancelled = asyncio.Event(), asyncio.Event()

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    (mine,) = queue.jobs()
    await queue.ack(mine)  # somebody settles it behind the worker's back
    await asyncio.wait_for(cancelled.wait(), 5)
    worker.stop()
    await asyncio.wait_for(task, 5)
    assert recorder.names() == ["started", "lost"]


class Unkept(MemoryQueue):
    """Nobody extends its reservations."""

    def keeper(self, info: WorkerInfo | None = None) -> None:
        return None


async def test_a_worker_that_gets_its_own_lost_job_again_settles_the_later_delivery_only() -> None:
    queue = Unkept(visibility_timeout=0.2)
    recorder = Recorder()
    worker = Worker(queue, concurrency=2, poll=0.05, observers=[recorder])
    again = asyncio.Event()

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        if current_job().attempts == 1:
            await again.wait()
        else:
            again.set()
            await asyncio.sleep(0.01)

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await asyncio.wait_for(again.wait(), 10)
    for _ in range(500):
        if len(recorder.events) == 4:
            break
        await asyncio.sleep(0.01)
    worker.stop()
    await asyncio.wait_for(task, 5)
    assert sorted(recorder.events) == [
        ("lost", "Resize", 1),
        ("processed", "Resize", 2),
        ("started", "Resize", 1),
        ("started", "Resize", 2),
    ]
    assert queue.jobs() == []


async def test_a_prefetched_job_that_is_lost_before_it_starts_is_not_run() -> None:
    queue = MemoryQueue(visibility_timeout=0.2)
    recorder = Recorder()
    worker = Worker(queue, prefetch=1, observers=[recorder])
    started, go_on = asyncio.Event(), asyncio.Event()

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        await go_on.wait()

    await dispatch_many(queue, [Resize(1), Resize(2)])
    task = await running(worker)
    await started.wait()
    prefetched = queue.jobs()[1]
    assert prefetched.receipt is not None
    await queue.ack(prefetched)  # somebody settles it behind the worker's back
    for _ in range(500):
        if "lost" in recorder.names():
            break
        await asyncio.sleep(0.01)
    go_on.set()
    worker.stop()
    await asyncio.wait_for(task, 5)
    assert recorder.names() == ["started", "lost", "processed"]


# --- Stores that fail ---------------------------------------------------------------------------


class FlakyQueue(MemoryQueue):
    """Fails the first `failures` calls of pop_many and of settle."""

    def __init__(self, failures: int, error: Exception) -> None:
        super().__init__()
        self.pops_to_fail = failures
        self.settles_to_fail = failures
        self.error = error

    turn = Queue.turn  # by way of these

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        if self.pops_to_fail > 0:
            self.pops_to_fail -= 1
            raise self.error
        return await super().pop_many(limit, wait, labels=labels)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        if self.settles_to_fail > 0:
            self.settles_to_fail -= 1
            raise self.error
        return await super().settle(settlements)


@pytest.mark.parametrize("error", [DriverError("connection lost"), RuntimeError("a driver's bug")])
async def test_passing_failures_of_the_store_lose_nothing_and_do_not_end_the_worker(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lagoqueue.exchange._FIRST_PAUSE", 0.001)
    monkeypatch.setattr("lagoqueue.settler._FIRST_PAUSE", 0.001)
    queue = FlakyQueue(1 if isinstance(error, RuntimeError) else 3, error)
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])
    worker.handle(Resize, lambda payload: None)
    await dispatch_many(queue, [Resize(1), Resize(2)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"] * 2
    assert queue.jobs() == []


async def test_a_settlement_that_one_driver_call_cannot_take_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Picky(MemoryQueue):
        turn = Queue.turn  # by way of settle

        async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
            if any(settlement.job.id == "bad" for settlement in settlements):
                raise TypeError("cannot store this")
            return await super().settle(settlements)

    queue = Picky()
    recorder = Recorder()
    worker = Worker(queue, concurrency=3, observers=[recorder])
    worker.handle(Resize, lambda payload: None)
    for job_id in ("good", "bad", "fine"):
        await dispatch(queue, Resize(1), id=job_id)
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names().count("processed") == 2
    assert [job.id for job in queue.jobs()] == ["bad"]
    assert "bad, which will be redelivered: TypeError: cannot store this" in caplog.text


async def test_a_queue_closed_under_a_worker_ends_it_with_that_error() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, concurrency=2)
    started, go_on = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    @worker.handle(Resize)
    async def wait(payload: Resize) -> None:
        started.set()
        await go_on.wait()
        finished.append(1)

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await started.wait()
    await queue.close()
    go_on.set()
    with pytest.raises(QueueClosed):
        await asyncio.wait_for(task, 10)
    assert finished == [1]


async def test_a_store_that_stays_down_does_not_hold_a_stopping_worker(caplog: pytest.LogCaptureFixture) -> None:
    queue = FlakyQueue(0, DriverError("down"))
    worker = Worker(queue, grace=0.2)
    ran = asyncio.Event()

    @worker.handle(Resize)
    async def break_it(payload: Resize) -> None:
        queue.settles_to_fail = queue.pops_to_fail = 1_000_000
        ran.set()

    await dispatch(queue, Resize(1))
    task = await running(worker)
    await ran.wait()
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert "1 jobs could not be settled in time" in caplog.text
    assert len(queue.jobs()) == 1


async def test_records_carry_the_jobs_fields(caplog: pytest.LogCaptureFixture) -> None:
    queue = MemoryQueue()
    logger = logging.getLogger("shop.jobs")
    worker = Worker(queue.named("mail"), max_retry=1, logger=logger)

    async def fail(payload: Any) -> None:
        raise ValueError("no such user")

    worker.handle(SendWelcomeEmail, fail)
    job = await dispatch(queue.named("mail"), SendWelcomeEmail(1))
    await worker.run(burst=True)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "shop.jobs"
    fields = record.__dict__
    assert (fields["job_id"], fields["job_name"], fields["queue"], fields["attempts"]) == (
        job.id,
        "SendWelcomeEmail",
        "mail",
        1,
    )
    assert record.exc_info is not None
