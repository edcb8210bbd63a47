"""A failed job: what it was, what went wrong, and what can be done."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from lagoqueue.errors import FailedJobNotFound, JobNotFound
from lagoqueue.monitor import DetailedInspector, FailedJob, FailedJobs, FailedView
from lagoqueue_dashboard.asking import Ask, checked_id
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.ids import dispatched_at
from lagoqueue_dashboard.payload import PayloadView, Redact, show_payload
from lagoqueue_dashboard.screens import reads


class FailedJobScreen(msgspec.Struct, frozen=True):
    """One failed job.

    Attributes:
        view: Its row.
        priority, available_at, headers: As in `Job`.
        pushed_at: When it was dispatched, which an id of lagoqueue's own making tells; else None.
        payload: Its payload.
        traceback: The last error's traceback; may be "".
        replaced: A live job has the same id, so that it cannot be retried; None when unknown.
        acts: The viewer may retry and forget it.
        problems: What could not be read anew, in words.
    """

    view: FailedView
    priority: int
    available_at: datetime | None
    headers: dict[str, str]
    pushed_at: datetime | None
    payload: PayloadView
    traceback: str
    replaced: bool | None
    acts: bool
    problems: list[str]


async def failed_job(ask: Ask) -> FailedJobScreen:
    """Make the screen of the failed job `id`.

    Raises:
        InvalidValue: No job can have this id.
        FailedJobNotFound: None is kept under it, as far as the inspector can tell.
        Refused: It could not be read.
    """
    job_id = checked_id(ask.text("id"))
    store = reads.failed_store(ask.look)
    if store is None:
        raise FailedJobNotFound(job_id)
    read, replaced = await asyncio.gather(
        ask.look.read("the failed job", job_id, lambda: _read(store, job_id, ask.redact), None), _replaced(ask, job_id)
    )
    if read is None:
        raise Refused(503, "The failed job cannot be read", " ".join(ask.look.problems))
    found, payload = read
    return FailedJobScreen(
        view=FailedView.of(found),
        priority=found.job.priority,
        available_at=found.job.available_at,
        headers=found.job.headers,
        pushed_at=dispatched_at(job_id),
        payload=payload,
        traceback=found.traceback,
        replaced=replaced,
        acts=ask.viewer.acts,
        problems=ask.look.problems,
    )


async def _read(store: FailedJobs, job_id: str, redact: Redact | None) -> tuple[FailedJob, PayloadView]:
    """Return the job without its payload, and what is shown of that: what is read is remembered, megabytes must not be."""
    found = await store.get(job_id)
    bare = msgspec.structs.replace(found, job=msgspec.structs.replace(found.job, payload=b""))
    return bare, await asyncio.to_thread(show_payload, found.job, redact)


async def _replaced(ask: Ask, job_id: str) -> bool | None:
    detailed = ask.look.reader.detailed
    if detailed is None:
        return None
    return await ask.look.read("the live job", job_id, lambda: _is_live(detailed, job_id), None)


async def _is_live(detailed: DetailedInspector, job_id: str) -> bool:
    try:
        await detailed.job(job_id)
    except JobNotFound:
        return False
    return True
