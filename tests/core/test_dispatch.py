"""From a payload to a job in a queue."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lagoqueue import (
    DuplicateJob,
    InvalidJob,
    InvalidValue,
    Job,
    JobNameError,
    MemoryQueue,
    PayloadEncodeError,
    QueueEmpty,
    dispatch,
    dispatch_after,
    dispatch_many,
    dispatch_sync,
)
from lagoqueue.testing import ManualClock
from tests.core.payloads import Charge, Reminder, Resize, SendWelcomeEmail
from tests.core.recorder import Recorder


async def test_the_job_that_is_returned_is_the_one_that_arrives() -> None:
    queue = MemoryQueue()
    job = await dispatch(queue, SendWelcomeEmail(42), headers={"tenant": "a"}, priority=3)
    assert (job.name, job.payload, job.queue, job.priority, job.headers) == (
        "SendWelcomeEmail",
        b'{"user_id":42}',
        "default",
        3,
        {"tenant": "a"},
    )
    popped = await queue.pop()
    assert (popped.id, popped.name, popped.payload, popped.headers) == (job.id, job.name, job.payload, job.headers)
    assert popped.attempts == 1


async def test_delay_and_at_keep_a_job_back() -> None:
    clock = ManualClock(start=1_800_000_000)
    queue = MemoryQueue(clock=clock)
    later = datetime.fromtimestamp(clock.time(), UTC) + timedelta(hours=1)
    await dispatch(queue, Resize(1), delay=timedelta(minutes=10))
    await dispatch_after(queue, Resize(2), 900)
    await dispatch(queue, Resize(3), at=later)
    widths: list[tuple[float, bytes]] = []
    for minutes in range(0, 61, 5):
        try:
            while True:
                job = await queue.pop()
                widths.append((minutes, job.payload[9:10]))
                await queue.ack(job)
        except QueueEmpty:
            clock.advance(300)
    assert widths == [(10, b"1"), (15, b"2"), (60, b"3")]


async def test_a_delayed_job_shows_when_it_is_due() -> None:
    job = await dispatch(MemoryQueue(), Resize(1), delay=60)
    assert job.available_at is not None
    assert timedelta(seconds=55) < job.available_at - datetime.now(UTC) <= timedelta(seconds=60)
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert (await dispatch(MemoryQueue(), Resize(1), at=at)).available_at == at


async def test_an_instant_in_the_past_is_due_now() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Resize(1), at=datetime(2001, 1, 1, tzinfo=UTC))
    assert (await queue.pop()).attempts == 1


async def test_the_same_id_makes_a_repeat_harmless() -> None:
    queue = MemoryQueue()
    recorder = Recorder()
    queue.observers.append(recorder)
    await dispatch(queue, Charge("o-1", 500), id="charge-o-1")
    with pytest.raises(DuplicateJob, match="charge-o-1"):
        await dispatch(queue, Charge("o-1", 500), id="charge-o-1")
    await dispatch(queue, Charge("o-1", 900), id="charge-o-1", exist_ok=True)
    assert [job.payload for job in queue.jobs()] == [b'{"order":"o-1","cents":500}']
    assert recorder.names() == ["pushed"], "only what was stored is counted"


async def test_many_are_pushed_in_order_and_none_if_one_does_not_encode() -> None:
    queue = MemoryQueue()
    jobs = await dispatch_many(queue.named("bulk"), [Resize(1), SendWelcomeEmail(2)], priority=1)
    assert [job.name for job in jobs] == ["Resize", "SendWelcomeEmail"]
    assert [job.id for job in queue.jobs()] == [job.id for job in jobs]
    assert {job.queue for job in queue.jobs()} == {"bulk"}
    with pytest.raises(PayloadEncodeError):
        await dispatch_many(queue, [Resize(1), Charge("o", object())])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert len(queue.jobs()) == 2
    assert await dispatch_many(queue, []) == []


async def test_a_typed_dict_needs_its_type() -> None:
    queue = MemoryQueue()
    reminder: Reminder = {"text": "stand up"}
    job = await dispatch(queue, reminder, payload_type=Reminder)
    assert job.name == "Reminder"
    with pytest.raises(JobNameError, match="payload_type="):
        await dispatch(queue, reminder)


def test_dispatch_sync_works_without_a_loop_and_from_any_thread() -> None:
    queue = MemoryQueue()
    threads = [threading.Thread(target=dispatch_sync, args=(queue.named("mail"), Resize(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job.payload for job in queue.jobs()) == sorted(b'{"width":%d,"height":100}' % n for n in range(8))
    assert {job.queue for job in queue.jobs()} == {"mail"}


def test_dispatch_sync_refuses_a_queue_that_needs_a_loop() -> None:
    class AsyncOnly:
        labels = ("default",)
        observers = ()

        async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
            return True

    with pytest.raises(TypeError, match=r"AsyncOnly.*await dispatch"):
        dispatch_sync(AsyncOnly(), Resize(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"delay": -1}, InvalidValue),
        ({"delay": float("nan")}, InvalidValue),
        ({"delay": float("inf")}, InvalidValue),
        ({"delay": timedelta.max}, InvalidValue),
        ({"delay": "5"}, InvalidValue),
        ({"delay": True}, InvalidValue),
        ({"at": NAIVE}, InvalidValue),
        ({"at": 5}, InvalidValue),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 1}, InvalidValue),
        ({"id": ""}, InvalidJob),
        ({"id": "x" * 1_000_000}, InvalidJob),
        ({"id": "a\0b"}, InvalidJob),
        ({"id": "\ud800"}, InvalidJob),
        ({"priority": 1.5}, InvalidJob),
        ({"priority": 2**40}, InvalidJob),
        ({"headers": {"k": 5}}, InvalidJob),
        ({"headers": {"k": "\ud800"}}, InvalidJob),
    ],
)
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_bad_arguments_are_refused_and_nothing_is_pushed(
    options: dict[str, Any], error: type[Exception], kind: str
) -> None:
    queue = MemoryQueue()
    push = dispatch_sync if kind == "sync" else lambda *args, **kwargs: asyncio.run(dispatch(*args, **kwargs))
    with pytest.raises(error):
        push(queue, Resize(1), **options)
    assert queue.jobs() == []


@pytest.mark.parametrize("payload", [5, "text", None, [1], {"a": 1}, object()])
async def test_a_payload_without_a_type_of_its_own_is_refused(payload: object) -> None:
    with pytest.raises(JobNameError):
        await dispatch(MemoryQueue(), payload)
