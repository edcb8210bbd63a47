"""What screens read, each under one key, so that what one page has read serves the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from lagoqueue.monitor import (
    COUNT_CAP,
    PAGE_SIZE,
    DetailedInspector,
    FailedFilter,
    FailedJobs,
    FailedPage,
    FailureGroup,
    HealthCheck,
    QueueActivity,
    QueueDepth,
    QueueStats,
    StatsView,
    ThroughputPoint,
    WorkerView,
)
from lagoqueue_dashboard.reading import Look

SPANS = {"hour": 60, "day": 1440}
"""Minutes that a chart looks back."""

T = TypeVar("T")


async def stats(look: Look) -> StatsView:
    """Return the counters."""
    return await look.read("the counters", None, look.reader.inspector.stats, StatsView([], QueueStats("")))


async def depths(look: Look) -> list[QueueDepth] | None:
    """Return what stands in each queue; None where the inspector does not tell."""
    return await _detail(look, "what stands in the queues", None, lambda detailed: detailed.depths())


async def workers(look: Look) -> list[WorkerView] | None:
    """Return the workers that live; None where the inspector does not tell."""
    return await _detail(look, "the workers", None, lambda detailed: detailed.workers())


async def activity(look: Look) -> list[QueueActivity] | None:
    """Return what each queue did in the last hour; None where the inspector does not tell."""
    return await _detail(look, "what the queues did", None, lambda detailed: detailed.activity(), keep=5.0)


async def history(look: Look, queue: str | None, span: str) -> list[ThroughputPoint]:
    """Return what was done over the last hour or day, in one queue or in all."""
    minutes = SPANS[span]
    keep = 10.0 if span == "hour" else 60.0
    found = await _detail(
        look,
        f"the history of the last {span}",
        queue,
        lambda detailed: detailed.history(queue, minutes=minutes),
        keep=keep,
    )
    return found or []


async def health(look: Look) -> list[HealthCheck] | None:
    """Return how the store is; None where the inspector does not tell."""
    return await _detail(look, "the health", None, lambda detailed: detailed.health(), keep=10.0)


async def failed_count(look: Look, filter: FailedFilter | None = None) -> int | None:
    """Return how many failed jobs there are, or how many a filter means; at 10,000 it means "or more".

    None where the inspector does not tell.
    """
    store = failed_store(look)
    if store is None:
        return None
    key = _narrowed(filter)
    return await look.read("the number of failed jobs", key, lambda: store.count(filter, cap=COUNT_CAP), None)


async def groups(look: Look, filter: FailedFilter | None = None) -> list[FailureGroup] | None:
    """Return the failed jobs in groups; None where the inspector does not tell.

    One more than a page has, so that it is seen whether there are more.
    """
    store = failed_store(look)
    if store is None:
        return None
    key = _narrowed(filter)
    return await look.read(
        "the groups of failed jobs", key, lambda: store.groups(filter, limit=PAGE_SIZE + 1), None, keep=5.0
    )


def _narrowed(filter: FailedFilter | None) -> FailedFilter | None:
    """Return the filter, or None where it leaves nothing out: what all pages read."""
    return None if filter == FailedFilter() else filter


async def failed_at(look: Look) -> datetime | None:
    """Return when the newest failed job failed; None without one, and where the inspector does not tell."""
    store = failed_store(look)
    if store is None:
        return None
    newest = await look.read("the newest failed job", None, lambda: store.search(limit=1), FailedPage([], None))
    return newest.jobs[0].failed_at if newest.jobs else None


def failed_store(look: Look) -> FailedJobs | None:
    """Return the store that can be searched, if the inspector has one."""
    detailed = look.reader.detailed
    return None if detailed is None else detailed.failed_jobs


async def _detail(
    look: Look, what: str, key: object, ask: Callable[[DetailedInspector], Awaitable[T]], *, keep: float = 2.0
) -> T | None:
    detailed = look.reader.detailed
    if detailed is None:
        return None
    return await look.read(what, key, lambda: ask(detailed), None, keep)
