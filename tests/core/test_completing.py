"""Jobs that their own handlers take off the queue: the worker has nothing left to settle, whatever follows."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from lagoqueue import (
    DriverError,
    Fail,
    HandlerTimeout,
    Job,
    Keeper,
    MemoryQueue,
    Queue,
    ReservationLost,
    Retry,
    Settlement,
    Snooze,
    Worker,
    WorkerInfo,
    current_job,
    dispatch,
    dispatch_many,
)
from lagoqueue.current import completing
from lagoqueue.handlers import HandlerFunction
from tests.core.payloads import Resize
from tests.core.recorder import Recorder


class Store(MemoryQueue):
    """A queue that completes, as a driver with transactions does, and notes what its worker asks of it."""

    def __init__(self, keeper: Callable[[Store], Keeper] | None = None) -> None:
        super().__init__()
        self.settled: list[tuple[str, str]] = []
        self._keeper = keeper

    turn = Queue.turn  # by way of settle

    async def complete(self, job: Job) -> None:
        with completing(job):
            await self.ack(job)

    def complete_blocking(self, job: Job) -> None:
        with completing(job):
            asyncio.run(self.ack(job))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        self.settled += [(settlement.job.id, settlement.action) for settlement in settlements]
        return await super().settle(settlements)

    def keeper(self, info: WorkerInfo | None = None) -> Keeper | None:
        return None if self._keeper is None else self._keeper(self)

    def owned(self, job: Job) -> bool:
        entry = self._store.find(job.id)
        return entry is not None and entry.receipt == job.receipt


class EagerKeeper(Keeper):
    """Beats all the time, and notes the ids of the jobs of each beat."""

    interval = 0.001

    def __init__(self, store: Store) -> None:
        self.store = store
        self.beats: list[list[str]] = []
        self.beaten = threading.Condition()

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        raise AssertionError("a worker beats")

    def beat(self, jobs: Sequence[Job]) -> list[Job]:
        with self.beaten:
            self.beats.append([job.id for job in jobs])
            self.beaten.notify_all()
        return [job for job in jobs if not self.store.owned(job)]

    async def next_beats(self, count: int = 3) -> list[list[str]]:
        """Wait for beats that begin from now on, and let the loop hear of them."""
        seen = len(self.beats)
        await asyncio.to_thread(self._wait, seen + count)
        await asyncio.sleep(0)
        return self.beats[seen:]

    def _wait(self, count: int) -> None:
        with self.beaten:
            assert self.beaten.wait_for(lambda: len(self.beats) >= count, 10)


def kept() -> tuple[Store, EagerKeeper]:
    store = Store(lambda store: keeper)
    keeper = EagerKeeper(store)
    return store, keeper


# --- Where it is called ---------------------------------------------------------------------------


def by_the_handler(store: Store) -> Callable[[object], Awaitable[None]]:
    async def handler(payload: object) -> None:
        await store.complete(current_job())

    return handler


def by_its_task(store: Store) -> Callable[[object], Awaitable[None]]:
    async def handler(payload: object) -> None:
        await asyncio.create_task(store.complete(current_job()))

    return handler


def by_its_thread(store: Store) -> Callable[[object], Awaitable[None]]:
    async def handler(payload: object) -> None:
        await asyncio.to_thread(store.complete_blocking, current_job())

    return handler


def by_a_sync_handler(store: Store) -> Callable[[object], None]:
    return lambda payload: store.complete_blocking(current_job())


@pytest.mark.parametrize("make_handler", [by_the_handler, by_its_task, by_its_thread, by_a_sync_handler])
async def test_a_completed_job_is_processed_and_not_settled(
    make_handler: Callable[[Store], HandlerFunction[Resize]],
) -> None:
    store = Store()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])
    worker.handle(Resize, make_handler(store))
    await dispatch_many(store, [Resize(1), Resize(2)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"] * 2
    assert store.settled == []
    assert store.jobs() == []


async def test_outside_a_handler_there_is_nobody_to_tell() -> None:
    store = Store()
    await dispatch(store, Resize(1))
    await store.complete(await store.pop())
    assert store.jobs() == []


async def test_another_job_that_a_handler_completes_is_not_its_own() -> None:
    store = Store()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])

    @worker.handle(Resize)
    async def take_another(payload: Resize) -> None:
        await store.complete(await store.pop())

    await dispatch(store, Resize(1), id="own")
    await dispatch(store, Resize(2), id="other")
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert store.settled == [("own", "ack")]
    assert recorder.names() == ["started", "processed"]
    assert store.jobs() == []


async def test_an_earlier_delivery_of_the_current_job_is_not_the_current_one() -> None:
    store = Store()
    worker = Worker(store)

    @worker.handle(Resize)
    async def mistake(payload: Resize) -> None:
        with completing(stale):
            pass

    job = await dispatch(store, Resize(1))
    stale = await store.pop()
    await store.release(stale)
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert store.settled == [(job.id, "ack")]


async def test_a_context_that_outlives_its_handler_changes_nothing_for_later_jobs() -> None:
    store = Store()
    worker = Worker(store)
    contexts: list[tuple[contextvars.Context, Job]] = []

    @worker.handle(Resize)
    async def keep_context(payload: Resize) -> None:
        if contexts:
            context, job = contexts[0]
            with pytest.raises(ReservationLost):
                await asyncio.create_task(store.complete(job), context=context)
        contexts.append((contextvars.copy_context(), current_job()))

    jobs = await dispatch_many(store, [Resize(1), Resize(2)])
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert store.settled == [(job.id, "ack") for job in jobs]


# --- What the handler does after it ----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the mail server is down"),
        Retry(5),
        Fail("no"),
        Snooze(5),
        SystemExit(3),
        asyncio.CancelledError("stop"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_after_completion_is_logged_and_the_job_is_done(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    recorder = Recorder()
    gave_up: list[Job] = []
    worker = Worker(store, max_retry=1, observers=[recorder], on_failed=lambda job, error: gave_up.append(job))

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        await store.complete(current_job())
        raise error

    job = await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"]
    assert (store.settled, store.jobs(), await store.failed_jobs.count(), gave_up) == ([], [], 0, [])
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.levelno == logging.WARNING
    assert job.id in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_a_timeout_after_completion_ends_the_handler_and_the_job_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])

    @worker.handle(Resize, timeout=0.01)
    async def handle(payload: Resize) -> None:
        await store.complete(current_job())
        await asyncio.Event().wait()

    await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"]
    assert HandlerTimeout.__name__ in caplog.text


async def test_a_completed_job_takes_its_place_until_its_handler_has_ended() -> None:
    store, keeper = kept()
    worker = Worker(store, concurrency=1, poll=0.01)
    started: list[int] = []
    completed, go_on = asyncio.Event(), asyncio.Event()

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        started.append(payload.width)
        await store.complete(current_job())
        completed.set()
        await go_on.wait()

    await dispatch_many(store, [Resize(1), Resize(2)])
    task = asyncio.create_task(worker.run(burst=True))
    await asyncio.wait_for(completed.wait(), 10)
    await keeper.next_beats()
    assert (started, await store.size()) == ([1], 1)
    go_on.set()
    await asyncio.wait_for(task, 10)
    assert (started, store.jobs()) == ([1, 2], [])


# --- A completion that does not happen ---------------------------------------------------------------


async def test_a_completion_that_fails_leaves_a_job_like_any_other() -> None:
    store = Store()
    recorder = Recorder()
    worker = Worker(store, backoff=60, observers=[recorder])

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        with completing(current_job()):
            raise DriverError("the commit was refused")

    job = await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "retried"]
    assert store.settled == [(job.id, "nack")]


async def test_a_refused_completion_does_not_keep_the_handler_from_being_told_that_it_lost_the_job() -> None:
    store, _ = kept()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])
    cancelled = asyncio.Event()

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        with pytest.raises(ReservationLost), completing(current_job()):
            raise ReservationLost(current_job().id)
        await store.release(current_job(), 60)  # it is another's now
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert cancelled.is_set()
    assert recorder.names() == ["started", "lost"]


# --- The keeper --------------------------------------------------------------------------------------


async def test_the_keeper_leaves_a_completed_job_alone() -> None:
    store, keeper = kept()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])
    before: list[list[str]] = []
    after: list[list[str]] = []

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        before.extend(await keeper.next_beats())
        await store.complete(current_job())
        after.extend(await keeper.next_beats())

    job = await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert [job.id] in before
    assert after[1:] == [[]] * (len(after) - 1), "the first may have been under way"
    assert recorder.names() == ["started", "processed"]


async def test_a_keeper_that_sees_the_commit_before_the_handler_does_not_cancel_it() -> None:
    store, keeper = kept()
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        with completing(current_job()):
            await store.ack(current_job())
            await keeper.next_beats()  # they report it as lost, and the answer to the commit is still on its way

    await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert recorder.names() == ["started", "processed"]
    assert store.settled == []


async def test_a_beat_that_was_under_way_while_the_job_was_completed_does_not_cancel_the_handler() -> None:
    class SlowKeeper(EagerKeeper):
        def __init__(self, store: Store) -> None:
            super().__init__(store)
            self.under_way, self.completed = threading.Event(), threading.Event()

        def beat(self, jobs: Sequence[Job]) -> list[Job]:
            if jobs:
                self.under_way.set()
                assert self.completed.wait(10)
            return super().beat(jobs)

    store = Store(lambda store: keeper)
    keeper = SlowKeeper(store)
    recorder = Recorder()
    worker = Worker(store, observers=[recorder])
    finished = asyncio.Event()

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        assert await asyncio.to_thread(keeper.under_way.wait, 10)
        await store.complete(current_job())
        keeper.completed.set()
        await keeper.next_beats()
        finished.set()

    job = await dispatch(store, Resize(1))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert finished.is_set()
    assert [job.id] in keeper.beats
    assert recorder.names() == ["started", "processed"]


# --- Stopping ----------------------------------------------------------------------------------------


async def test_after_the_grace_period_a_completed_job_is_not_given_back() -> None:
    store = Store()
    recorder = Recorder()
    worker = Worker(store, grace=0.01, observers=[recorder])
    completed = asyncio.Event()

    @worker.handle(Resize)
    async def handle(payload: Resize) -> None:
        await store.complete(current_job())
        completed.set()
        await asyncio.Event().wait()

    await dispatch(store, Resize(1))
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(completed.wait(), 10)
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert recorder.names() == ["started", "processed"]
    assert store.settled == []


async def test_a_completed_job_whose_handler_would_not_stop_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lagoqueue.run._LAST_WAIT", 0.05)
    store = Store()
    recorder = Recorder()
    worker = Worker(store, grace=0, observers=[recorder])
    completed, end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @worker.handle(Resize)
    async def stubborn(payload: Resize) -> None:
        await store.complete(current_job())
        completed.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    job = await dispatch(store, Resize(1))
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(completed.wait(), 10)
    (slot,) = [task for task in asyncio.all_tasks() if task.get_name() == "lagoqueue-slot-0"]
    worker.stop()
    try:
        await asyncio.wait_for(task, 10)
        assert recorder.names() == ["started", "processed"]
        assert f"the handler of job {job.id} would not stop; the job is done already" in caplog.text
    finally:
        end.set()
    await asyncio.wait_for(asyncio.wait({slot}), 10)
    assert ended.is_set()
    assert recorder.names() == ["started", "processed"]
    assert store.settled == []


async def test_a_thread_that_completes_its_job_while_it_is_given_back_is_processed() -> None:
    class SlowRelease(Store):
        """Its release waits for the thread's transaction, as one of a locked row does."""

        async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
            go_on.set()
            await asyncio.to_thread(committed.wait, 10)
            return await super().settle(settlements)

    started, go_on, committed = threading.Event(), threading.Event(), threading.Event()
    store = SlowRelease()
    recorder = Recorder()
    worker = Worker(store, grace=0, observers=[recorder])

    @worker.handle(Resize)
    def handle(payload: Resize) -> None:
        started.set()
        assert go_on.wait(10)
        store.complete_blocking(current_job())
        committed.set()

    job = await dispatch(store, Resize(1))
    task = asyncio.create_task(worker.run())
    assert await asyncio.to_thread(started.wait, 10)
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert store.settled == [(job.id, "release")]
    assert recorder.names() == ["started", "processed"]
    assert store.jobs() == []
