"""The monitoring names of `lagoqueue.monitor`, under the path of the Go library's dashboard."""

from __future__ import annotations

from lagoqueue.monitor import (
    FailedJob,
    FailedJobs,
    Inspector,
    JobView,
    MemoryFailedJobs,
    MemoryInspector,
    QueueStats,
    Sampler,
    Stats,
    StatsView,
)

__all__ = [
    "FailedJob",
    "FailedJobs",
    "Inspector",
    "JobView",
    "MemoryFailedJobs",
    "MemoryInspector",
    "QueueStats",
    "Sampler",
    "Stats",
    "StatsView",
]
