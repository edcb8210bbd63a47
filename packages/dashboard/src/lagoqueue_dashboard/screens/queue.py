"""A queue: what waits in it, what is delayed and what runs."""

from __future__ import annotations

import asyncio

import msgspec

from lagoqueue.monitor import PAGE_SIZE, JobPage, JobView, LiveState
from lagoqueue.monitor.paging import queue_label
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.screens.rows import QueueRow, queue_rows
from lagoqueue_dashboard.series import Series, all_series


class QueueScreen(msgspec.Struct, frozen=True):
    """A queue and some of its jobs.

    Attributes:
        queue: The label.
        row: How it stands; None when its row could not be read.
        state: Which jobs are listed.
        jobs: Some of them, in the order in which they run; reserved ones by when their reservation ends.
        next: The `after` of the next page; None at the end.
        page: The page's number where the inspector counts pages; else None.
        detailed: The inspector tells due, delayed and reserved jobs apart; else all that wait are listed as pending.
        charts: Throughput, run time and waiting time of the last hour; empty when unknown.
        problems: What could not be read, in words.
    """

    queue: str
    row: QueueRow | None
    state: LiveState
    jobs: list[JobView]
    next: str | None
    page: int | None
    detailed: bool
    charts: tuple[Series, ...]
    problems: list[str]


async def queue(ask: Ask) -> QueueScreen:
    """Make the screen of the queue `name`.

    Raises:
        InvalidValue: A parameter is not what it may be.
        Refused: Nothing is known of such a queue.
    """
    look = ask.look
    label = queue_label(ask.text("name"))
    state: LiveState = ask.one_of("state", "pending", "delayed", "reserved")
    page = ask.page()
    if look.reader.detailed is None:
        page, state = page or 1, "pending"
    else:
        page = None
    stats, depths, activities, points, listed = await asyncio.gather(
        reads.stats(look),
        reads.depths(look),
        reads.activity(look),
        reads.history(look, label, "hour"),
        _listed(ask, label, state, page),
    )
    rows = {row.queue: row for row in queue_rows(stats.queues, depths, activities, ask.long_wait)}
    if label not in rows and not listed.jobs and not look.problems:
        raise Refused(404, "No such queue", f"Nothing is known of a queue {label!r}: no job was ever in it.")
    return QueueScreen(
        queue=label,
        row=rows.get(label),
        state=state,
        jobs=listed.jobs,
        next=listed.next,
        page=page,
        detailed=look.reader.detailed is not None,
        charts=all_series(points, "hour"),
        problems=look.problems,
    )


async def _listed(ask: Ask, label: str, state: LiveState, page: int | None) -> JobPage:
    reader = ask.look.reader
    nothing = JobPage([], None)
    if page is not None:
        number = page
        jobs = await ask.look.read(
            "the jobs that wait", (label, page), lambda: reader.inspector.pending(label, number), list[JobView]()
        )
        return JobPage(jobs, str(page + 1) if len(jobs) == PAGE_SIZE else None)
    detailed = reader.detailed
    if detailed is None:
        return nothing
    after = ask.text("after") or None
    return await ask.look.read(
        "the jobs", (label, state, after), lambda: detailed.jobs(state, label, after=after), nothing
    )
