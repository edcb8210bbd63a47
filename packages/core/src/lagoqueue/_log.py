"""What a worker logs to, and the fields of a record about a job."""

from __future__ import annotations

import logging
from typing import Any

from lagoqueue.job import Job

Log = logging.Logger | logging.LoggerAdapter[Any]


def log_fields(job: Job) -> dict[str, object]:
    """Return the `extra` of a log record about a job."""
    return {"job_id": job.id, "job_name": job.name, "queue": job.queue, "attempts": job.attempts}
