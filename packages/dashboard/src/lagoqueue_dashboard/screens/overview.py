"""The overview: is work flowing, what needs a person, and how does each queue stand?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

import msgspec

from lagoqueue.monitor import COUNT_CAP, PAGE_SIZE
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.screens.notice import Notice, Tone
from lagoqueue_dashboard.screens.rows import QueueRow, queue_rows
from lagoqueue_dashboard.screens.summary import Standing, summarise
from lagoqueue_dashboard.series import Series, merged, throughput


class Overview(msgspec.Struct, frozen=True):
    """The overview.

    Attributes:
        headline: How work stands, in a sentence; the page's heading.
        tone: Of the headline.
        notices: What a person should know, the worst first.
        waiting, delayed, running, failed: Jobs over all queues; None where the inspector does not tell.
        waiting_more, delayed_more, running_more, failed_more: The number beside is a lower bound.
        oldest, oldest_queue: Seconds that the oldest waiting job has waited, and in which queue.
        workers, slots: Workers that live and the handlers that they can run at once; None when unknown.
        finished: Jobs processed in the last hour; None when unknown.
        throughput: Jobs processed per second over the last minute.
        run_p50: Median seconds that handlers ran in the last hour; None when unknown.
        failed_groups: Kinds of failure among the failed jobs; None when unknown.
        failed_groups_more: There are that many or more.
        failed_at: When the newest failed job failed; None without one or when unknown.
        last_at: When a job last completed, in any queue; None when unknown.
        queues: One row a queue, sorted by label.
        chart: Jobs finished and failed over the last hour; None when nobody keeps a history.
        problems: What could not be read, in words; what is shown of it is old or missing.
    """

    headline: str
    tone: Tone
    notices: list[Notice]
    waiting: int | None
    waiting_more: bool
    delayed: int | None
    delayed_more: bool
    running: int | None
    running_more: bool
    failed: int | None
    failed_more: bool
    oldest: float | None
    oldest_queue: str | None
    workers: int | None
    slots: int | None
    finished: int | None
    throughput: float
    run_p50: float | None
    failed_groups: int | None
    failed_groups_more: bool
    failed_at: datetime | None
    last_at: datetime | None
    queues: list[QueueRow]
    chart: Series | None
    problems: list[str]


async def overview(ask: Ask) -> Overview:
    """Make the overview."""
    look = ask.look
    stats, depths, workers, activities, points, (groups, failed, newest) = await asyncio.gather(
        reads.stats(look),
        reads.depths(look),
        reads.workers(look),
        reads.activity(look),
        reads.history(look, None, "hour"),
        asyncio.gather(reads.groups(look), reads.failed_count(look), reads.failed_at(look)),
    )
    rows = queue_rows(stats.queues, depths, activities, ask.long_wait)
    waiting, waiting_more = _sum(row.pending for row in rows)
    delayed, delayed_more = _sum(row.delayed for row in rows)
    running, running_more = _sum(row.reserved for row in rows)
    oldest = max((row for row in rows if row.oldest is not None), key=lambda row: row.oldest or 0, default=None)
    last_at = max((row.last_at for row in rows if row.last_at is not None), default=None)
    pushed = {each.queue: each.pushed for each in activities or ()}
    standing = Standing(rows, workers, last_at, pushed)
    headline, tone, notices = summarise(standing)
    return Overview(
        headline=headline if look.found else "Nothing can be read at the moment",
        tone=tone if look.found else "bad",
        notices=notices,
        waiting=waiting,
        waiting_more=waiting_more,
        delayed=delayed,
        delayed_more=delayed_more,
        running=running,
        running_more=running_more,
        failed=failed,
        failed_more=failed is not None and failed >= COUNT_CAP,
        oldest=None if oldest is None else oldest.oldest,
        oldest_queue=None if oldest is None else oldest.queue,
        workers=None if workers is None else len(workers),
        slots=None if workers is None else sum(worker.concurrency for worker in workers),
        finished=sum(point.processed for point in points) if points else None,
        throughput=stats.totals.throughput,
        run_p50=merged(points, "run").percentile(0.5) if points else None,
        failed_groups=None if groups is None else min(len(groups), PAGE_SIZE),
        failed_groups_more=groups is not None and len(groups) > PAGE_SIZE,
        failed_at=newest,
        last_at=last_at,
        queues=rows,
        chart=throughput(points, "hour"),
        problems=look.problems,
    )


def _sum(counts: Iterable[int | None]) -> tuple[int | None, bool]:
    """Return the sum, None of nothing that is known, and whether one of them stopped at its cap."""
    known = [count for count in counts if count is not None]
    return (sum(known) if known else None), any(count >= COUNT_CAP for count in known)
