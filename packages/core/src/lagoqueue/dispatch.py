"""`dispatch` and its kin: from a typed payload to a job in a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lagoqueue._codec import make_job
from lagoqueue._time import Seconds, to_seconds, to_utc
from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job
from lagoqueue.observer import notify
from lagoqueue.queue import Producer, SyncProducer


async def dispatch(
    queue: Producer,
    payload: object,
    *,
    delay: Seconds | None = None,
    at: datetime | None = None,
    priority: int = 0,
    id: str | None = None,
    headers: Mapping[str, str] | None = None,
    payload_type: Any = None,
    exist_ok: bool = False,
) -> Job:
    """Push a payload as a job, and return the job once the queue has stored it.

    Args:
        queue: A queue, a named view of one, or a view inside a transaction.
        payload: A dataclass, msgspec.Struct, attrs class, NamedTuple, TypedDict or pydantic model.
        delay: Seconds or timedelta until it is due, by the store's clock.
        at: The aware instant from which it is due. Not together with `delay`.
        priority: A larger one runs sooner.
        id: Unique among live jobs; a UUIDv7 unless given. The same id makes a repeat harmless.
        headers: Text by text, carried along unread.
        payload_type: The type to route by where the value does not carry it: a TypedDict.
        exist_ok: Keep the live job that has this id, instead of raising.

    Returns:
        The job as pushed. With `delay`, its `available_at` is this process's reckoning of a time
        that the store decides.

    Raises:
        JobNameError: The payload's type has no stable name.
        PayloadEncodeError: The payload cannot be written as JSON.
        InvalidValue: A delay or instant is outside what it may be.
        InvalidJob: The id, a header or the priority cannot be stored.
        DuplicateJob: A live job has this id, and `exist_ok` was not given.
    """
    seconds, available_at = _when(delay, at)
    job = make_job(payload, payload_type, queue.labels[0], priority, headers, id, available_at)
    if await queue.push(job, delay=seconds, exist_ok=exist_ok):
        notify(queue.observers, "pushed", job)
    return job


async def dispatch_after(queue: Producer, payload: object, delay: Seconds, *, payload_type: Any = None) -> Job:
    """Push a payload that is due in `delay` seconds: `dispatch(queue, payload, delay=delay)`."""
    return await dispatch(queue, payload, delay=delay, payload_type=payload_type)


async def dispatch_many(
    queue: Producer,
    payloads: Iterable[object],
    *,
    delay: Seconds | None = None,
    at: datetime | None = None,
    priority: int = 0,
    headers: Mapping[str, str] | None = None,
    payload_type: Any = None,
) -> list[Job]:
    """Push payloads, of one type or several, in one batch; return their jobs in the same order.

    Every payload is encoded before the first is pushed, so one that does not encode pushes none.
    The options and errors are those of `dispatch`, and hold for all of them.
    """
    seconds, available_at = _when(delay, at)
    label = queue.labels[0]
    jobs = [make_job(payload, payload_type, label, priority, headers, None, available_at) for payload in payloads]
    await queue.push_many(jobs, delay=seconds)
    for job in jobs:
        notify(queue.observers, "pushed", job)
    return jobs


def dispatch_sync(
    queue: SyncProducer,
    payload: object,
    *,
    delay: Seconds | None = None,
    at: datetime | None = None,
    priority: int = 0,
    id: str | None = None,
    headers: Mapping[str, str] | None = None,
    payload_type: Any = None,
    exist_ok: bool = False,
) -> Job:
    """Do as `dispatch` does, without an event loop and from any thread.

    The queue must be able to push without one (`MemoryQueue` and `SQLQueue` can); which kind is wanted is never guessed.

    Raises:
        TypeError: The queue can only push from a coroutine; use `await dispatch(...)`.
    """
    if not hasattr(queue, "push_sync"):
        raise TypeError(
            f"{type(queue).__name__} can only push from a coroutine: use `await dispatch(queue, payload)` there, "
            "or asyncio.run_coroutine_threadsafe(dispatch(queue, payload), loop) from another thread"
        )
    seconds, available_at = _when(delay, at)
    job = make_job(payload, payload_type, queue.labels[0], priority, headers, id, available_at)
    if queue.push_sync(job, delay=seconds, exist_ok=exist_ok):
        notify(queue.observers, "pushed", job)
    return job


def _when(delay: Seconds | None, at: datetime | None) -> tuple[float | None, datetime | None]:
    """Return the delay for the store, and the instant to show."""
    if delay is None:
        return None, None if at is None else to_utc(at, "at")
    if at is not None:
        raise InvalidValue(f"give delay or at, not both: delay={delay!r}, at={at!r}")
    seconds = to_seconds(delay, "delay")
    return seconds, datetime.now(UTC) + timedelta(seconds=seconds)
