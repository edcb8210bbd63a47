"""The pages: for each its path and what makes its screen; its template bears its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.filters import FilterForm
from lagoqueue_dashboard.screens.charts import charts
from lagoqueue_dashboard.screens.failed import confirm, failed
from lagoqueue_dashboard.screens.failed_job import failed_job
from lagoqueue_dashboard.screens.health import health
from lagoqueue_dashboard.screens.job import job
from lagoqueue_dashboard.screens.overview import overview
from lagoqueue_dashboard.screens.queue import queue
from lagoqueue_dashboard.screens.workers import workers


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: Its endpoint and its template.
        path: Below `/queues`; its JSON twin is below `/queues/api`.
        make: Makes its screen.
        takes: The query's parameters that it reads; no others get into a link.
        live: It refreshes itself.
    """

    name: str
    path: str
    make: Callable[[Ask], Awaitable[msgspec.Struct]]
    takes: tuple[str, ...] = ()
    live: bool = True


_FILTER = FilterForm.__struct_fields__

PAGES = (
    Page("overview", "/", overview),
    Page("queue", "/queue", queue, ("name", "state", "after", "page")),
    Page("job", "/job", job, ("id",), live=False),
    Page("failed", "/failed", failed, (*_FILTER, "view", "after", "page")),
    Page("failed_job", "/failed/job", failed_job, ("id",), live=False),
    Page("confirm", "/failed/confirm", confirm, (*_FILTER, "action", "all", "ids", "back"), live=False),
    Page("workers", "/workers", workers),
    Page("charts", "/charts", charts, ("queue", "span")),
    Page("health", "/health", health),
)
