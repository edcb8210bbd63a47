"""Counters, failed jobs, and the views on both that pages and command lines show.

It knows jobs and observers, but neither queues nor workers: those feed it.
"""

from __future__ import annotations

from lagoqueue.monitor.failed import FailedJob, FailedJobs
from lagoqueue.monitor.inspector import Browsable, Inspector, MemoryInspector
from lagoqueue.monitor.memory_failed import MemoryFailedJobs, RequeueFunc
from lagoqueue.monitor.sampler import Sampler
from lagoqueue.monitor.stats import Observable, Stats
from lagoqueue.monitor.views import PAGE_SIZE, JobView, QueueStats, StatsView, ThroughputSample, page_offset

__all__ = [
    "PAGE_SIZE",
    "Browsable",
    "FailedJob",
    "FailedJobs",
    "Inspector",
    "JobView",
    "MemoryFailedJobs",
    "MemoryInspector",
    "Observable",
    "QueueStats",
    "RequeueFunc",
    "Sampler",
    "Stats",
    "StatsView",
    "ThroughputSample",
    "page_offset",
]
