"""Charts of throughput, run time and waiting time."""

from __future__ import annotations

import asyncio

import msgspec

from lagoqueue.monitor.paging import queue_label
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.series import Series, all_series


class ChartsScreen(msgspec.Struct, frozen=True):
    """The charts.

    Attributes:
        queue: The label that they are of; None for all together.
        queues: The labels to choose from.
        span: "hour" or "day".
        charts: Throughput, run time and waiting time; empty where nobody keeps a history.
        problems: What could not be read, in words.
    """

    queue: str | None
    queues: list[str]
    span: str
    charts: tuple[Series, ...]
    problems: list[str]


async def charts(ask: Ask) -> ChartsScreen:
    """Make the charts of the queue `queue`, or of all, over the last `span`.

    Raises:
        InvalidValue: A parameter is not what it may be.
    """
    span = ask.one_of("span", *reads.SPANS)
    label = ask.text("queue") or None
    if label is not None:
        queue_label(label)
    stats, points = await asyncio.gather(reads.stats(ask.look), reads.history(ask.look, label, span))
    return ChartsScreen(
        queue=label,
        queues=[row.queue for row in stats.queues],
        span=span,
        charts=all_series(points, span),
        problems=ask.look.problems,
    )
