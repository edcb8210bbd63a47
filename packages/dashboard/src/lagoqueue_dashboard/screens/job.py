"""A live job, whole."""

from __future__ import annotations

from datetime import datetime

import msgspec

from lagoqueue.errors import JobNotFound
from lagoqueue.monitor import JobView
from lagoqueue_dashboard.asking import Ask, checked_id
from lagoqueue_dashboard.ids import dispatched_at
from lagoqueue_dashboard.payload import PayloadView, show_payload
from lagoqueue_dashboard.refused import Refused


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
    found = await ask.look.read("the job", job_id, lambda: detailed.job(job_id), None)
    if found is None:
        raise Refused(503, "The job cannot be read", " ".join(ask.look.problems))
    return JobScreen(
        view=found.view,
        headers=found.job.headers,
        pushed_at=dispatched_at(job_id),
        payload=show_payload(found.job, ask.redact),
        problems=ask.look.problems,
    )
