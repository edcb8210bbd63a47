"""`places`: every page of a dashboard over a busy shop, by name."""

from __future__ import annotations

from urllib.parse import urlencode

from lagoqueue_sql import SQLInspector

PLACES = (
    "overview",
    "queue",
    "queue-delayed",
    "queue-running",
    "job",
    "failed",
    "failed-jobs",
    "failed-found",
    "failed-nothing",
    "failed-job",
    "failed-syntax",
    "confirm-retry",
    "confirm-forget",
    "confirm-flush",
    "workers",
    "charts",
    "charts-day",
    "health",
    "error",
)
"""The names of the pages."""


async def places(inspector: SQLInspector) -> dict[str, str]:
    """Return the paths of a dashboard, with the jobs that are there now."""
    store = inspector.failed_jobs
    failed = {view.name: view.id for view in (await store.search()).jobs}
    ids = [("ids", view.id) for view in (await store.search()).jobs[:3]]
    running = (await inspector.jobs("reserved", "reports")).jobs[0].id
    email = failed["SendWelcomeEmail"]
    below = {
        "overview": "",
        "queue": "queue?name=emails",
        "queue-delayed": "queue?name=emails&state=delayed",
        "queue-running": "queue?name=default&state=reserved",
        "job": f"job?id={running}",
        "failed": "failed",
        "failed-jobs": "failed?view=jobs",
        "failed-found": "failed?view=jobs&queue=emails&text=unexpectedly&within=day",
        "failed-nothing": "failed?text=nothing+says+this",
        "failed-job": f"failed/job?id={email}",
        "failed-syntax": f"failed/job?id={failed['IndexFile']}",
        "confirm-retry": "failed/confirm?action=retry&all=1&queue=emails",
        "confirm-forget": f"failed/confirm?action=forget&{urlencode(ids)}",
        "confirm-flush": "failed/confirm?action=flush",
        "workers": "workers",
        "charts": "charts",
        "charts-day": "charts?span=day&queue=emails",
        "health": "health",
        "error": "failed/job?id=no-such-job",
    }
    assert tuple(below) == PLACES
    return {name: f"/queues/{path}" for name, path in below.items()}
