"""From a `Job` to the row that keeps it, and back. Instants are microseconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from lagoqueue._rows import from_micros
from lagoqueue.job import Job

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_encode = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


class Key(msgspec.Struct, frozen=True, gc=False, rename={"id": "i", "seq": "s", "token": "r"}):
    """A reservation: its job's id, and the two parts of its receipt. As JSON it is what a batch of them has.

    Attributes:
        id: The job's id.
        seq: The row's.
        token: Random, one for each claim.
    """

    id: str
    seq: int
    token: str


def to_micros(instant: datetime) -> int:
    """Return the microseconds since the epoch, exactly."""
    return (instant - EPOCH) // MICROSECOND


def duration(seconds: float) -> int:
    """Return seconds as microseconds, rounded up: what waits is never early."""
    return math.ceil(seconds * 1_000_000)


def job_row(job: Job, available_at: int | None, delay: int = 0, now: int = 0) -> dict[str, Any]:
    """Return the values that keep a job.

    Args:
        job: The job.
        available_at: When it is due; None for `delay` from the store's now.
        delay: Microseconds.
        now: The caller's time, for stores without a clock.
    """
    return {
        "id": job.id,
        "name": job.name,
        "payload": job.payload,
        "attempts": job.attempts,
        "available_at": available_at,
        "delay": delay,
        "queue": job.queue,
        "priority": job.priority,
        "headers": _encode(job.headers).decode() if job.headers else "{}",
        "now": now,
    }


def job_values(job: Job, delay: int | None, now: int) -> tuple[Any, ...]:
    """Return the values of `statements.COLUMNS`, in their order.

    Args:
        job: The job.
        delay: Microseconds from now until it is due; None for the job's own instant.
        now: The store's time.
    """
    if delay is not None:
        at = now + delay
    else:
        at = now if job.available_at is None else to_micros(job.available_at)
    headers = _encode(job.headers).decode() if job.headers else "{}"
    return job.id, job.name, job.payload, job.attempts, at, job.queue, job.priority, headers


def row_job(row: Sequence[Any], receipt: str | None = None) -> Job:
    """Return the job in a row that begins with `statements.COLUMNS`."""
    job_id, name, payload, attempts, available_at, queue, priority, headers, *_ = row
    return Job(
        job_id,
        name,
        payload,
        attempts,
        None if available_at is None else from_micros(available_at),
        queue,
        priority,
        {} if headers == "{}" else _decode_headers(headers),
        receipt,
    )


def key_of(job: Job) -> Key:
    """Return what finds the row of a popped job; of any other, what finds none."""
    seq, _, token = (job.receipt or "").partition("-")
    return Key(job.id, int(seq), token) if seq.isdecimal() and len(seq) < 19 else Key(job.id, 0, "")


def key_item(key: Key) -> dict[str, Any]:
    """Return a reservation as a batch has it, for adding to it what else is to be done."""
    return {"i": key.id, "s": key.seq, "r": key.token}


def as_json(rows: Sequence[dict[str, Any] | Key]) -> str:
    """Return several rows as the one JSON parameter that a statement over a batch takes."""
    return _encode(rows).decode()
