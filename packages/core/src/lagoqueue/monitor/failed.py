"""`FailedJob` and `FailedJobs`: what a failed-jobs store keeps and does; drivers implement it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from lagoqueue.failure import Failure
from lagoqueue.job import Job


class FailedJob(msgspec.Struct, frozen=True):
    """A job that ran out of attempts, with why.

    Attributes:
        id: Id within the store: the job's own.
        queue: The label it came from.
        job: The job as it was delivered last; its payload is replayed unchanged on retry.
        kind: Name of the exception's class; groups failures.
        error: `kind: message` of the last error.
        traceback: The last error's traceback, or "".
        failed_at: When it was recorded, aware UTC.
    """

    id: str
    queue: str
    job: Job
    kind: str
    error: str
    traceback: str
    failed_at: datetime


class FailedJobs(Protocol):
    """A store of failed jobs. Pages are counted from 1, 50 rows each, newest first."""

    async def record(self, job: Job, queue: str, error: Failure | BaseException) -> None:
        """Keep a failed job. One that is recorded again under its id replaces the older record."""
        ...

    async def list(self, page: int = 1) -> list[FailedJob]:
        """Return one page, newest first; an empty list past the end.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        ...

    async def get(self, job_id: str) -> FailedJob:
        """Return one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        ...

    async def retry(self, job_id: str) -> Job:
        """Put the job back in its queue, due now with no attempts spent, and drop the record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
        """
        ...

    async def forget(self, job_id: str) -> None:
        """Drop the record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
        """
        ...

    async def flush(self) -> int:
        """Drop every record and return how many there were."""
        ...

    async def count(self) -> int:
        """Return how many records there are."""
        ...
