"""The dashboard: `dashboard` makes its blueprint; with the names of `lagoqueue.monitor` that it shows."""

from __future__ import annotations

from lagoqueue.monitor import (
    BulkResult,
    DetailedInspector,
    Durations,
    FailedFilter,
    FailedJob,
    FailedJobs,
    FailedPage,
    FailedView,
    FailureGroup,
    HealthCheck,
    History,
    Inspector,
    JobDetail,
    JobPage,
    JobView,
    MemoryFailedJobs,
    MemoryInspector,
    QueueActivity,
    QueueDepth,
    QueueStats,
    Sampler,
    Stats,
    StatsView,
    ThroughputPoint,
    WorkerView,
)
from lagoqueue_dashboard.actions import Action, Done
from lagoqueue_dashboard.blueprint import dashboard
from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.payload import redact_secrets
from lagoqueue_dashboard.standalone.asgi import stand_alone
from lagoqueue_dashboard.standalone.proxy import Prefixed

__all__ = [
    "Access",
    "Action",
    "BulkResult",
    "DetailedInspector",
    "Done",
    "Durations",
    "FailedFilter",
    "FailedJob",
    "FailedJobs",
    "FailedPage",
    "FailedView",
    "FailureGroup",
    "HealthCheck",
    "History",
    "Inspector",
    "JobDetail",
    "JobPage",
    "JobView",
    "MemoryFailedJobs",
    "MemoryInspector",
    "Prefixed",
    "QueueActivity",
    "QueueDepth",
    "QueueStats",
    "Sampler",
    "Stats",
    "StatsView",
    "ThroughputPoint",
    "Viewer",
    "WorkerView",
    "dashboard",
    "redact_secrets",
    "stand_alone",
]
