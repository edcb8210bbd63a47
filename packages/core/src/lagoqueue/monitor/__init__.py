"""Counters, failed jobs, and the views on both and on queues that pages and command lines show.

It knows jobs and observers, but neither queues nor workers: those feed it.
"""

from __future__ import annotations

from lagoqueue.monitor.activity import QueueActivity
from lagoqueue.monitor.durations import BOUNDS, Durations
from lagoqueue.monitor.failed import BulkResult, FailedJob, FailedJobs, FailedPage, FailedView, FailureGroup
from lagoqueue.monitor.filter import FailedFilter
from lagoqueue.monitor.health import HealthCheck
from lagoqueue.monitor.history import History
from lagoqueue.monitor.inspector import DetailedInspector, Inspector
from lagoqueue.monitor.memory_failed import MemoryFailedJobs, RequeueFunc
from lagoqueue.monitor.memory_inspector import Browsable, MemoryInspector
from lagoqueue.monitor.paging import COUNT_CAP, MAX_ROWS
from lagoqueue.monitor.points import ThroughputPoint, history_points
from lagoqueue.monitor.sampler import Sampler
from lagoqueue.monitor.stats import Observable, Stats
from lagoqueue.monitor.views import (
    PAGE_SIZE,
    JobDetail,
    JobPage,
    JobState,
    JobView,
    LiveState,
    QueueDepth,
    QueueStats,
    StatsView,
    ThroughputSample,
    WorkerView,
    page_offset,
)

__all__ = [
    "BOUNDS",
    "COUNT_CAP",
    "MAX_ROWS",
    "PAGE_SIZE",
    "Browsable",
    "BulkResult",
    "DetailedInspector",
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
    "JobState",
    "JobView",
    "LiveState",
    "MemoryFailedJobs",
    "MemoryInspector",
    "Observable",
    "QueueActivity",
    "QueueDepth",
    "QueueStats",
    "RequeueFunc",
    "Sampler",
    "Stats",
    "StatsView",
    "ThroughputPoint",
    "ThroughputSample",
    "WorkerView",
    "history_points",
    "page_offset",
]
