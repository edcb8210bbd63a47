"""`assert_dispatched` and `refute_dispatched`: is there a job with this payload?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lagoqueue._codec import Delivery, HandlerTable
from lagoqueue.job import Job, job_name
from lagoqueue.memory import MemoryQueue
from lagoqueue.queue import NamedQueue, Queue

P = TypeVar("P")

_SHOWN = 20
"""Jobs that a message lists."""


def assert_dispatched(
    queue: Queue, payload_type: type[P], predicate: Callable[[P], bool] | None = None, /, **fields: object
) -> P:
    """Return the payload of the first live job of this type, or raise AssertionError saying what is there.

    Live is what waits, due or delayed, or is reserved; a job that a worker has finished is gone.

    Args:
        queue: A `MemoryQueue`, or a named view of one, which then counts its own labels only.
        payload_type: What was dispatched.
        predicate: Takes the payload and tells whether it is the one.
        **fields: Values that the payload's fields must have.

    Raises:
        AssertionError: No such job.
        TypeError: Not a MemoryQueue, which alone can be looked into without an inspector.
        PayloadDecodeError: A job of this name holds something else.
    """
    __tracebackhide__ = True
    jobs = _live_jobs(queue)
    for _, payload in _matching(jobs, payload_type, predicate, fields):
        return payload
    what = _wanted(payload_type, predicate, fields)
    raise AssertionError(f"no {what} was dispatched; the queue holds {_listing(jobs)}")


def refute_dispatched(
    queue: Queue, payload_type: type[P], predicate: Callable[[P], bool] | None = None, /, **fields: object
) -> None:
    """Raise AssertionError if there is a live job of this type; see `assert_dispatched`."""
    __tracebackhide__ = True
    found = [job for job, _ in _matching(_live_jobs(queue), payload_type, predicate, fields)]
    if found:
        what = _wanted(payload_type, predicate, fields)
        raise AssertionError(f"{what} was dispatched, and should not have been: {_listing(found)}")


def _live_jobs(queue: Queue) -> list[Job]:
    store = queue.queue if isinstance(queue, NamedQueue) else queue
    if not isinstance(store, MemoryQueue):
        raise TypeError(f"jobs can be looked up in a MemoryQueue, not in a {type(store).__name__}")
    jobs = store.jobs()
    return [job for job in jobs if job.queue in queue.labels] if isinstance(queue, NamedQueue) else jobs


def _matching(
    jobs: list[Job], payload_type: type[P], predicate: Callable[[P], bool] | None, fields: Mapping[str, object]
) -> list[tuple[Job, P]]:
    name = job_name(payload_type)
    table: HandlerTable[None] = HandlerTable()
    table.add(name, None, payload_type)
    decoded: list[tuple[Job, P]] = [(job, table.open(Delivery(job)).payload) for job in jobs if job.name == name]
    return [
        (job, payload)
        for job, payload in decoded
        if all(_field(payload, field) == value for field, value in fields.items())
        and (predicate is None or predicate(payload))
    ]


def _field(payload: Any, name: str) -> object:
    """A field that is not there raises: a misspelt one must not pass for a difference."""
    return payload[name] if isinstance(payload, Mapping) else getattr(payload, name)


def _wanted(payload_type: type[Any], predicate: object, fields: Mapping[str, object]) -> str:
    what = job_name(payload_type)
    if fields:
        what += " with " + ", ".join(f"{name}={value!r}" for name, value in fields.items())
    if predicate is not None:
        what += " that matches the predicate"
    return what


def _listing(jobs: list[Job]) -> str:
    if not jobs:
        return "no jobs"
    lines = [f"{len(jobs)} job" + ("s:" if len(jobs) > 1 else ":")]
    for job in jobs[:_SHOWN]:
        payload = job.payload[:200].decode("utf-8", "backslashreplace")
        lines.append(f"  {job.name} {payload} in {job.queue} (id {job.id})")
    if len(jobs) > _SHOWN:
        lines.append(f"  and {len(jobs) - _SHOWN} more")
    return "\n".join(lines)
