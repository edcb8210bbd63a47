"""From a `Job` to the row that keeps it, and back. Instants are microseconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lagoqueue.job import Job
from lagoqueue_sql.schema import EPOCH, MICROSECOND

Row = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


def to_micros(instant: datetime) -> int:
    """Return the microseconds since the epoch, exactly."""
    return (instant - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the instant as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def duration(seconds: float) -> int:
    """Return seconds as microseconds, rounded up: what waits is never early."""
    return math.ceil(seconds * 1_000_000)


def job_row(job: Job, available_at: int | None) -> Row:
    """Return the columns that keep a job."""
    return {
        "id": job.id,
        "name": job.name,
        "payload": job.payload,
        "attempts": job.attempts,
        "available_at": available_at,
        "queue": job.queue,
        "priority": job.priority,
        "headers": _encode(job.headers).decode() if job.headers else "{}",
    }


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


def batch_json(rows: Sequence[Sequence[object]]) -> str:
    """Return several rows as the one JSON parameter that a batch statement takes."""
    return _encode(rows).decode()
