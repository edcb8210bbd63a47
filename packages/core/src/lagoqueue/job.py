"""`Job`, the envelope that travels through a queue, and the name by which it finds its handler."""

from __future__ import annotations

import types
from datetime import datetime
from typing import Any, get_origin

import msgspec

from lagoqueue.errors import InvalidJob, JobNameError

DEFAULT_QUEUE = "default"
"""The label of a job that was given none, and the label that an unnamed queue pops."""

MAX_ID = 200
MAX_NAME = 200
MAX_LABEL = 100
MAX_PRIORITY = 2**31 - 1
MAX_ATTEMPTS = 2**30
"""Of a job that is pushed: stores keep 32 bits, and each delivery adds one."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """One unit of work: a payload, its routing key, and where it stands in its life.

    `dispatch` builds it; drivers and observers see it. Frozen: a driver returns a changed copy.

    Attributes:
        id: Unique among live jobs; a UUIDv7 unless given. At most 200 characters.
        name: Routing key, the payload type's name (see `job_name`). At most 200 characters.
        payload: The payload as JSON.
        attempts: Deliveries so far, this one included; 0 before the first. At most 2**30 when it is pushed.
        available_at: Earliest delivery, aware UTC; None means as soon as it is pushed.
        queue: Label of the queue that it waits in. At most 100 characters.
        priority: A larger one runs sooner; within 32 bits, signed.
        headers: Text by text, for trace context and tags. lagoqueue reads none of it.
        receipt: Proof of a reservation, set by the driver on a popped job and by nobody else. It
            never repeats for one id, so it can serve as a fencing token towards other systems.
    """

    id: str
    name: str
    payload: bytes
    attempts: int = 0
    available_at: datetime | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    headers: dict[str, str] = {}
    receipt: str | None = None


def job_name(payload_type: Any) -> str:
    """Return the routing key of a payload type: its own `__job_name__`, or its `__name__`.

    A subclass does not inherit `__job_name__`: it is another type, so it needs another name.

    Raises:
        JobNameError: Not a class, a builtin, a generic alias, or a class local to a function that
            sets no `__job_name__`: none of these names one type wherever the job may run.
        InvalidJob: The name is empty, too long, or holds characters that no store keeps.
    """
    if not isinstance(payload_type, type) or get_origin(payload_type) is not None:
        raise JobNameError(
            f"{payload_type!r} has no stable job name: use a class of its own "
            "(a dataclass, msgspec.Struct, attrs class, TypedDict or NamedTuple)"
        )
    given = payload_type.__dict__.get("__job_name__")
    if given is not None:
        if not isinstance(given, str):
            raise JobNameError(f"__job_name__ of {payload_type!r} must be text, not {given!r}")
        return check_text(given, f"__job_name__ of {payload_type.__qualname__}", MAX_NAME)
    if payload_type.__module__ == "builtins" or payload_type is types.NoneType:
        raise JobNameError(
            f"a plain {payload_type.__name__} has no job name: wrap it in a class of its own"
            + (", or pass a TypedDict as payload_type=" if payload_type is dict else "")
        )
    if "<locals>" in payload_type.__qualname__:
        raise JobNameError(
            f"{payload_type.__qualname__} is local to a function, so its name is not stable: "
            "move it to module level, or set __job_name__ in it"
        )
    return check_text(payload_type.__name__, "a job name", MAX_NAME)


def check_text(value: object, what: str, longest: int) -> str:
    """Return `value` if every store can keep it as a short text.

    Raises:
        InvalidJob: Not text, empty, longer than `longest`, or with a NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidJob(f"{what} must be text, not {type(value).__name__}")
    if not 0 < len(value) <= longest:
        raise InvalidJob(f"{what} must have 1 to {longest} characters, not {len(value)}")
    if "\0" in value:
        raise InvalidJob(f"{what} must not contain NUL: {value!r}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidJob(f"{what} must not contain a lone surrogate: {value!r}") from None
    return value


def check_job(job: Job) -> None:
    """Refuse a job that some store could not keep; every driver calls it before it stores.

    Raises:
        InvalidJob: Names the field and its value.
    """
    check_text(job.id, "a job's id", MAX_ID)
    check_text(job.name, "a job's name", MAX_NAME)
    check_text(job.queue, "a queue's label", MAX_LABEL)
    if type(job.payload) is not bytes:
        raise InvalidJob(f"a job's payload must be bytes, not {type(job.payload).__name__}")
    if type(job.priority) is not int or abs(job.priority) > MAX_PRIORITY:
        raise InvalidJob(f"a job's priority must be an int within 32 bits, not {job.priority!r}")
    if type(job.attempts) is not int or not 0 <= job.attempts <= MAX_ATTEMPTS:
        raise InvalidJob(f"a job's attempts must be an int from 0 to {MAX_ATTEMPTS}, not {job.attempts!r}")
    if job.available_at is not None and job.available_at.utcoffset() is None:
        raise InvalidJob(f"a job's available_at must be aware, but {job.available_at!r} has no time zone")
    for key, value in job.headers.items():
        check_text(key, "a header's key", MAX_NAME)
        if not isinstance(value, str) or "\0" in value or not _encodes(value):
            raise InvalidJob(f"header {key!r} must be text without NUL or lone surrogates, not {value!r}")


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
