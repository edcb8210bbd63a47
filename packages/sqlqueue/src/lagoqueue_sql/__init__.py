"""lagoqueue on SQL databases: a durable queue, and the failed-jobs store beside it."""

from __future__ import annotations

from lagoqueue_sql.failed import SQLFailedJobs
from lagoqueue_sql.queue import SQLQueue

__all__ = ["SQLFailedJobs", "SQLQueue", "__version__"]

__version__ = "0.1.0"
