"""lagoqueue on SQL databases: a durable queue, and the failed-jobs store beside it."""

from __future__ import annotations

from lagoqueue_sql.failed import SQLFailedJobs
from lagoqueue_sql.inspector import SQLInspector
from lagoqueue_sql.queue import SQLQueue
from lagoqueue_sql.sync_queue import SyncSQLQueue

__all__ = ["SQLFailedJobs", "SQLInspector", "SQLQueue", "SyncSQLQueue"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("lagoqueue-sql")
    raise AttributeError(f"module 'lagoqueue_sql' has no attribute {name!r}")
