"""What a worker does with a job: run it, retry it, fail it, give it back."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lagoqueue import (
    AttemptsExhausted,
    Fail,
    HandlerTimeout,
    InvalidValue,
    Job,
    MemoryQueue,
    Observer,
    PayloadDecodeError,
    Retry,
    Snooze,
    UnknownJob,
    Worker,
    current_job,
    dispatch,
    dispatch_many,
    dispatch_sync,
)
from lagoqueue.testing import ManualClock
from tests.core.payloads import Charge, Resize, SendWelcomeEmail
from tests.core.recorder import Recorder


class Fatal(BaseException):
    """Not an Exception."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Matrix:
    """Compares as arrays do: to something that is neither true nor false."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


def failing_with(error: BaseException) -> Callable[[Any], Any]:
    async def handler(payload: Any) -> None:
        raise error

    return handler


async def test_handlers_of_each_kind_get_their_payload() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    seen: list[object] = []

    @worker.handle(SendWelcomeEmail)
    async def send(payload: SendWelcomeEmail) -> None:
        seen.append(payload)

    @worker.handle(Resize)
    def resize(payload: Resize) -> None:
        seen.append((payload, threading.current_thread() is threading.main_thread()))

    async def charge(payload: Charge) -> None:
        seen.append(payload)

    worker.handle(Charge, lambda payload: charge(payload))
    await dispatch(queue, SendWelcomeEmail(42))
    await dispatch(queue, Resize(640))
    await dispatch(queue, Charge("o-1", 500))
    await worker.run(burst=True)
    assert seen == [SendWelcomeEmail(42), (Resize(640), False), Charge("o-1", 500)]
    assert queue.jobs() == []


async def test_a_failed_attempt_is_retried_after_the_backoff_and_then_fails_for_good() -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock=clock)
    recorder = Recorder()
    gave_up: list[tuple[int, str]] = []

    async def note(job: Job, error: BaseException) -> None:
        gave_up.append((job.attempts, str(error)))

    worker = Worker(queue, max_retry=3, backoff=timedelta(seconds=30), on_failed=note, observers=[recorder])
    worker.handle(Resize, failing_with(ValueError("too wide")))
    job = await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "retried"]
    clock.advance(29)
    await worker.run(burst=True)
    assert recorder.names() == ["started", "retried"], "it is not due yet"
    clock.advance(1)
    await worker.run(burst=True)
    clock.advance(30)
    await worker.run(burst=True)
    assert recorder.events == [
        ("started", "Resize", 1),
        ("retried", "Resize", 1),
        ("started", "Resize", 2),
        ("retried", "Resize", 2),
        ("started", "Resize", 3),
        ("failed", "Resize", 3),
    ]
    assert recorder.delays == [30, 30]
    assert gave_up == [(3, "too wide")]
    failed = await queue.failed_jobs.get(job.id)
    assert failed.error == "ValueError: too wide"
    assert "too wide" in failed.traceback
    assert queue.jobs() == []


async def test_max_retry_counts_the_first_attempt() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=1, observers=[recorder])
    worker.handle(Resize, failing_with(ValueError()))
    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "failed"]


async def test_options_of_a_handler_come_before_those_of_the_worker() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=1, backoff=99, observers=[recorder])
    worker.handle(Resize, failing_with(ValueError()), max_retry=2, backoff=lambda job: job.attempts * 0)
    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "retried", "started", "failed"]
    assert recorder.delays == [0]


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        Fatal("x"),
        Mute(),
        asyncio.CancelledError(),
        ExceptionGroup("g", [ValueError()]),
    ],
)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_whatever_a_handler_raises_ends_the_job_and_not_the_worker(error: BaseException, kind: str) -> None:
    queue = MemoryQueue()
    worker = Worker(queue, max_retry=1)

    def sync(payload: Any) -> None:
        raise error

    worker.handle(Resize, failing_with(error) if kind == "async" else sync)
    done: list[int] = []
    worker.handle(SendWelcomeEmail, lambda payload: done.append(payload.user_id))
    bad = await dispatch(queue, Resize(1))
    await dispatch(queue, SendWelcomeEmail(7))
    await worker.run(burst=True)
    assert done == [7]
    failed = await queue.failed_jobs.get(bad.id)
    assert type(error).__name__ in failed.error


async def test_stop_iteration_from_a_thread_is_a_failure_like_any_other() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, max_retry=1)
    worker.handle(Resize, lambda payload: next(iter([])))
    bad = await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert (await queue.failed_jobs.get(bad.id)).kind == "StopIteration"


async def test_retry_fail_and_snooze_say_how_a_job_ends() -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock=clock)
    recorder = Recorder()
    worker = Worker(queue, max_retry=2, backoff=500, observers=[recorder])
    worker.handle(Resize, failing_with(Retry(after=timedelta(seconds=5))))
    worker.handle(Charge, failing_with(Fail("card stolen")))
    worker.handle(SendWelcomeEmail, failing_with(Snooze(60)))
    resize = await dispatch(queue, Resize(1))
    charge = await dispatch(queue, Charge("o", 1))
    await dispatch(queue, SendWelcomeEmail(1))
    await worker.run(burst=True)
    assert [event for event in recorder.events if event[0] != "started"] == [
        ("retried", "Resize", 1),
        ("failed", "Charge", 1),
        ("released", "SendWelcomeEmail", 1),
    ]
    assert recorder.delays == [5, 60]
    assert (await queue.failed_jobs.get(charge.id)).error.endswith("card stolen")
    clock.advance(60)
    await worker.run(burst=True)
    assert (await queue.failed_jobs.get(resize.id)).job.attempts == 2
    (snoozed,) = queue.jobs()
    assert snoozed.attempts == 0, "snoozing spends no attempt"


@pytest.mark.parametrize("bad", [Snooze(-1), Snooze(float("nan")), Retry(after=float("inf"))])
async def test_a_nonsense_duration_in_retry_or_snooze_is_an_ordinary_failure(bad: Exception) -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=2, backoff=0, observers=[recorder])
    worker.handle(Resize, failing_with(bad))
    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "retried", "started", "failed"] or isinstance(bad, Retry)
    assert isinstance(recorder.errors[0], InvalidValue)
    assert await queue.failed_jobs.count() == 1


async def test_a_payload_that_does_not_decode_fails_at_once_and_unrun() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=5, observers=[recorder])
    ran: list[object] = []
    worker.handle(Resize, ran.append)
    await queue.push(Job("1", "Resize", b'{"width": "wide"}'))
    await queue.push(Job("2", "Resize", b"\xff\x00 not json"))
    await queue.push(Job("3", "Resize", b'{"width": 5, "added_later": true}'))
    await worker.run(burst=True)
    assert ran == [Resize(5)], "an unknown field is a newer producer's"
    assert [type(error) for error in recorder.errors] == [PayloadDecodeError, PayloadDecodeError]
    assert {failed.id for failed in await queue.failed_jobs.list()} == {"1", "2"}


async def test_a_job_whose_attempts_are_spent_is_failed_without_being_run() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=3, observers=[recorder])
    worker.handle(Resize, failing_with(AssertionError("it must not run")))
    await queue.push(Job("poison", "Resize", b'{"width": 1}', attempts=3))
    await worker.run(burst=True)
    assert recorder.names() == ["failed"]
    assert isinstance(recorder.errors[0], AttemptsExhausted)
    assert "its worker died" in (await queue.failed_jobs.get("poison")).error


async def test_an_unknown_name_is_released_unspent_for_a_grace_period_and_then_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("lagoqueue.unknown.time.monotonic", lambda: now)
    clock = ManualClock()
    queue = MemoryQueue(clock=clock)
    recorder = Recorder()
    worker = Worker(queue, unknown_grace=300, observers=[recorder])
    await dispatch(queue, Resize(1))
    for _ in range(50):
        await worker.run(burst=True)
        if not queue.jobs():
            break
        (job,) = queue.jobs()
        assert job.attempts == 0
        clock.advance(recorder.delays[-1])
        now += recorder.delays[-1]
    assert recorder.delays[:4] == [1, 1, 2, 4]
    assert max(recorder.delays) == 60
    assert 300 <= sum(recorder.delays) <= 360
    assert isinstance(recorder.errors[-1], UnknownJob)
    assert (await queue.failed_jobs.list())[0].kind == "lagoqueue.errors.UnknownJob"


async def test_a_newer_worker_takes_what_an_older_one_released() -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock=clock)
    old, new = Worker(queue), Worker(queue, max_retry=1)
    ran: list[object] = []
    new.handle(Resize, ran.append)
    await dispatch(queue, Resize(3))
    await old.run(burst=True)
    clock.advance(1)
    await new.run(burst=True)
    assert ran == [Resize(3)]


async def test_a_handler_that_overruns_its_timeout_is_cancelled_and_retried() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=2, backoff=0, observers=[recorder])
    cancelled = 0

    @worker.handle(Resize, timeout=0.01)
    async def slow(payload: Resize) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert cancelled == 2
    assert [type(error) for error in recorder.errors] == [HandlerTimeout, HandlerTimeout]


async def test_a_handlers_own_timeout_error_is_its_own() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=1, observers=[recorder])
    worker.handle(Resize, failing_with(TimeoutError("the remote end")), timeout=60)
    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert str(recorder.errors[0]) == "the remote end"


async def test_concurrency_one_runs_and_holds_one_job_at_a_time() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    most_reserved = 0

    @worker.handle(Resize)
    async def look(payload: Resize) -> None:
        nonlocal most_reserved
        await asyncio.sleep(0)
        most_reserved = max(most_reserved, sum(job.receipt is not None for job in queue.jobs()))

    await dispatch_many(queue, [Resize(n) for n in range(20)])
    await worker.run(burst=True)
    assert most_reserved == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_concurrency_runs_that_many_handlers_at_once(kind: str) -> None:
    queue = MemoryQueue()
    worker = Worker(queue, concurrency=4)
    met: list[int] = []
    if kind == "async":
        gate = asyncio.Barrier(4)

        @worker.handle(Resize)
        async def meet(payload: Resize) -> None:
            await gate.wait()
            met.append(payload.width)
    else:
        barrier = threading.Barrier(4)

        @worker.handle(Resize)
        def meet_in_threads(payload: Resize) -> None:
            barrier.wait(timeout=10)
            met.append(payload.width)

    await dispatch_many(queue, [Resize(n) for n in range(8)])
    await asyncio.wait_for(worker.run(burst=True), 20)
    assert sorted(met) == list(range(8))


async def test_prefetch_reserves_ahead_and_no_further() -> None:
    queue = MemoryQueue()
    worker = Worker(queue, concurrency=2, prefetch=6)
    reserved: list[int] = []

    @worker.handle(Resize)
    async def look(payload: Resize) -> None:
        await asyncio.sleep(0)
        reserved.append(sum(job.receipt is not None for job in queue.jobs()))

    await dispatch_many(queue, [Resize(n) for n in range(40)])
    await worker.run(burst=True)
    assert len(reserved) == 40
    assert max(reserved) == 8


@pytest.mark.parametrize("prefetch", [0, 10])
async def test_a_context_variable_that_one_handler_sets_is_not_seen_by_the_next(prefetch: int) -> None:
    queue = MemoryQueue()
    worker = Worker(queue, prefetch=prefetch)
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []

    @worker.handle(Resize)
    async def leak(payload: Resize) -> None:
        seen.append(tenant.get())
        tenant.set(f"tenant {payload.width}")

    await dispatch_many(queue, [Resize(n) for n in range(3)])
    await worker.run(burst=True)
    assert seen == ["nobody"] * 3


async def test_a_context_variable_whose_values_do_not_compare_does_not_hold_its_job() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    matrix: contextvars.ContextVar[Matrix] = contextvars.ContextVar("matrix")
    matrix.set(first := Matrix())
    seen: list[Matrix] = []

    @worker.handle(Resize)
    async def leak(payload: Resize) -> None:
        seen.append(matrix.get())
        matrix.set(Matrix())

    await dispatch_many(queue, [Resize(n) for n in range(3)])
    await asyncio.wait_for(worker.run(burst=True), 5)
    assert [each is first for each in seen] == [True] * 3
    assert queue.jobs() == []


@pytest.mark.parametrize("prefetch", [0, 10])
async def test_a_handler_that_cancels_its_task_and_returns_is_done_and_harms_no_other(prefetch: int) -> None:
    queue, recorder = MemoryQueue(), Recorder()
    worker = Worker(queue, prefetch=prefetch, observers=[recorder])

    @worker.handle(Resize)
    async def cancel(payload: Resize) -> None:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    await dispatch_many(queue, [Resize(n) for n in range(3)])
    await asyncio.wait_for(worker.run(burst=True), 5)
    assert sorted(recorder.names()) == ["processed"] * 3 + ["started"] * 3


async def test_a_slot_that_is_cancelled_between_two_jobs_is_replaced() -> None:
    done, settled = asyncio.Event(), asyncio.Event()

    class Settled(Observer):
        def processed(self, job: Job, seconds: float) -> None:
            settled.set()

    queue = MemoryQueue()
    worker = Worker(queue, observers=[Settled()])
    slots: list[asyncio.Task[Any]] = []

    @worker.handle(Resize)
    async def note(payload: Resize) -> None:
        task = asyncio.current_task()
        assert task is not None
        slots.append(task)
        done.set()

    run = asyncio.create_task(worker.run())
    await dispatch(queue, Resize(1))
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.wait_for(settled.wait(), 5)
    slots[0].cancel()
    await asyncio.wait({slots[0]})
    done.clear()
    await dispatch(queue, Resize(2))
    await asyncio.wait_for(done.wait(), 5)
    worker.stop()
    await run
    assert slots[0] is not slots[1]
    assert queue.jobs() == []


async def test_current_job_is_the_one_that_runs_in_coroutines_tasks_and_threads() -> None:
    queue = MemoryQueue()
    worker = Worker(queue)
    seen: list[str] = []

    @worker.handle(Resize)
    async def in_a_task(payload: Resize) -> None:
        async def child() -> None:
            seen.append(current_job().id)

        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    worker.handle(Charge, lambda payload: seen.append(current_job().id))
    first = await dispatch(queue, Resize(1))
    second = await dispatch(queue, Charge("o", 1))
    await worker.run(burst=True)
    assert seen == [first.id, second.id]
    with pytest.raises(LookupError, match="outside a handler"):
        current_job()


async def test_a_failing_observer_or_hook_fails_no_job(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def processed(self, job: Job, seconds: float) -> None:
            raise RuntimeError("observer down")

    def hook(job: Job, error: BaseException) -> None:
        raise RuntimeError("hook down")

    queue = MemoryQueue()
    recorder = Recorder()
    worker = Worker(queue, max_retry=1, observers=[Broken(), recorder], on_failed=hook)
    worker.handle(Resize, lambda payload: None)
    worker.handle(Charge, failing_with(ValueError()))
    await dispatch(queue, Resize(1))
    await dispatch(queue, Charge("o", 1))
    await worker.run(burst=True)
    assert recorder.names() == ["started", "processed", "started", "failed"]
    assert "observer down" in caplog.text
    assert "hook down" in caplog.text


async def test_observe_sees_dispatches_too_and_only_once() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    first, second = Worker(queue), Worker(queue.named("other"))
    for worker in (first, second, first):
        worker.observe(recorder)
    first.handle(Resize, lambda payload: None)
    await dispatch(queue, Resize(1))
    dispatch_sync(queue, Resize(2))
    await first.run(burst=True)
    assert recorder.names() == ["pushed", "pushed", "started", "processed", "started", "processed"]
    first.unobserve(recorder)
    await dispatch(queue, Resize(3))
    await first.run(burst=True)
    assert len(recorder.events) == 6


async def test_a_named_worker_takes_its_labels_in_order() -> None:
    queue = MemoryQueue()
    worker = Worker(queue.named("critical", "bulk"))
    seen: list[int] = []
    worker.handle(Resize, lambda payload: seen.append(payload.width))
    await dispatch(queue.named("bulk"), Resize(3))
    await dispatch(queue.named("critical"), Resize(1))
    await dispatch(queue, Resize(9))
    await dispatch(queue.named("critical"), Resize(2))
    await worker.run(burst=True)
    assert seen == [1, 2, 3]
    assert await queue.size() == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"max_retry": 0},
        {"max_retry": "3"},
        {"concurrency": 0},
        {"concurrency": True},
        {"prefetch": -1},
        {"prefetch": 1.5},
        {"poll": 0},
        {"poll": float("nan")},
        {"grace": -1},
        {"grace": 1e300},
        {"backoff": float("inf")},
        {"unknown_grace": -5},
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(settings))):
        Worker(MemoryQueue(), **settings)


async def test_the_fluent_setters_chain() -> None:
    queue = MemoryQueue()
    gave_up: list[Job] = []
    worker = (
        Worker(queue)
        .max_retry(2)
        .backoff(0)
        .poll(timedelta(seconds=2))
        .on_failed(lambda job, error: gave_up.append(job))
    )
    worker.handle(Resize, failing_with(ValueError()))
    await dispatch(queue, Resize(1))
    await worker.run(burst=True)
    assert [job.attempts for job in gave_up] == [2]
    with pytest.raises(InvalidValue):
        worker.max_retry(0)
