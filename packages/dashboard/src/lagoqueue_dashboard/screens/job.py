"""A live job, whole."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from lagoqueue.errors import JobNotFound
from lagoqueue.monitor import DetailedInspector, JobDetail, JobView
from lagoqueue_dashboard.asking import Ask, checked_id
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.ids import dispatched_at
from lagoqueue_dashboard.payload import PayloadView, Redact, show_payload


class JobScreen(msgspec.Struct, frozen=True):
    """One live job.

    Attributes:
        view: Its row.
        headers: As in `Job`.
        pushed_at: When it was dispatched, which an id of lagoqueue's own making tells; else None.
        payload: Its payload.
        problems: What could not be read anew, in words.
    """

    view: JobView
    headers: dict[str, str]
    pushed_at: datetime | None
    payload: PayloadView
    problems: list[str]


async def job(ask: Ask) -> JobScreen:
    """Make the screen of the live job `id`.

    Raises:
        InvalidValue: No job can have this id.
        JobNotFound: No live job has it, as far as the inspector can tell.
        Refused: It could not be read.
    """
    job_id = checked_id(ask.text("id"))
    detailed = ask.look.reader.detailed
    if detailed is None:
        raise JobNotFound(job_id)
    read = await ask.look.read("the job", job_id, lambda: _read(detailed, job_id, ask.redact), None)
    if read is None:
        raise Refused(503, "The job cannot be read", " ".join(ask.look.problems))
    found, payload = read
    return JobScreen(
        view=found.view,
        headers=found.job.headers,
        pushed_at=dispatched_at(job_id),
        payload=payload,
        problems=ask.look.problems,
    )


async def _read(detailed: DetailedInspector, job_id: str, redact: Redact | None) -> tuple[JobDetail, PayloadView]:
    """Return the job without its payload, and what is shown of that: what is read is remembered, megabytes must not be."""
    found = await detailed.job(job_id)
    bare = msgspec.structs.replace(found, job=msgspec.structs.replace(found.job, payload=b""))
    return bare, await asyncio.to_thread(show_payload, found.job, redact)
