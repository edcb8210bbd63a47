"""`FailedJob` and `FailedJobs`: what a failed-jobs store keeps and does; drivers implement it."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Protocol

import msgspec

from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor.filter import FailedFilter
from lagoqueue.monitor.paging import MAX_ROWS
from lagoqueue.monitor.views import PAGE_SIZE


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


class FailedView(msgspec.Struct, frozen=True):
    """A row in a list of failed jobs: a `FailedJob` without its payload and traceback.

    Attributes:
        id, queue, kind, error, failed_at: As in `FailedJob`.
        name, attempts: As in its `Job`.
    """

    id: str
    queue: str
    name: str
    kind: str
    error: str
    attempts: int
    failed_at: datetime

    @classmethod
    def of(cls, failed: FailedJob) -> FailedView:
        """Return the row that shows `failed`."""
        job = failed.job
        return cls(failed.id, failed.queue, job.name, failed.kind, failed.error, job.attempts, failed.failed_at)


class FailedPage(msgspec.Struct, frozen=True):
    """Some of the failed jobs that a filter means, newest first.

    Attributes:
        jobs: Fewer than asked for, or none, where a store would have to look at more than 10,000
            records to fill the page.
        next: The `after` of the next page; None at the end, and nowhere else.
    """

    jobs: list[FailedView]
    next: str | None


class FailureGroup(msgspec.Struct, frozen=True):
    """The failures of one kind in jobs of one name.

    Attributes:
        kind, name: What they have in common.
        count: How many there are.
        first_at, last_at: When the oldest and the newest failed, aware UTC.
        example: Id of the newest.
    """

    kind: str
    name: str
    count: int
    first_at: datetime
    last_at: datetime
    example: str


class BulkResult(msgspec.Struct, frozen=True):
    """What one call did of an action on many failed jobs.

    Attributes:
        done: How many it retried or dropped. It may be none where others follow.
        skipped: Ids whose retry was refused, because a job with that id is live; their records are kept.
        next: The `after` of the call that goes on; None once all are done or skipped.
    """

    done: int
    skipped: list[str]
    next: str | None


class FailedJobs(Protocol):
    """A store of failed jobs. Pages of `list` are counted from 1, 50 rows each, newest first.

    `search` and the methods below it cost about the same however many records there are, because
    one call looks at no more than 10,000 records, `COUNT_CAP`. A filter's `queue` and `ids` are
    found without looking at others; what else it says is held against one record after another.
    """

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

    async def count(self, filter: FailedFilter | None = None, *, cap: int | None = None) -> int:
        """Return how many records there are, or how many of them a filter means.

        Args:
            filter: Which to count; all when it is None.
            cap: Look at the newest `cap` records and no others, of the filter's queue or ids where
                it has any; without it the count is exact and takes as long as it takes. So a
                count of all, or of one queue, that equals the cap means "that many or more".

        Raises:
            InvalidValue: `cap` is not a whole number from 1.
        """
        ...

    async def queues(self) -> dict[str, int]:
        """Return the labels that have records, sorted, each with their number, which stops at 10,000."""
        ...

    async def search(
        self,
        filter: FailedFilter | None = None,
        *,
        after: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> FailedPage:
        """Return some of the records that a filter means, newest first.

        What is recorded or dropped between two pages moves no other record from one to the other.

        Args:
            filter: Which to return; all when it is None.
            after: The `next` of the page before; None for the first page.
            limit: Rows of the page, at most 1,000.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        ...

    async def groups(
        self,
        filter: FailedFilter | None = None,
        *,
        limit: int = PAGE_SIZE,
    ) -> builtins.list[FailureGroup]:
        """Return the failures by kind and name, the largest group first, then by kind and name.

        Of the newest 10,000 records, as `count` with that cap looks at them.

        Args:
            filter: Which to group; all when it is None.
            limit: Groups to return, at most 1,000.

        Raises:
            InvalidValue: `limit` is none.
        """
        ...

    async def retry_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Retry some of the records that a filter means, oldest first, each as `retry` does.

        Call it until its `next` is None. That ends: what is recorded after the first call, and so
        what is retried and fails again, is not meant.

        Args:
            filter: Which to retry; `FailedFilter()` for all.
            after: The `next` of the call before; None for the first.
            limit: Records to retry in this call, at most 1,000.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        ...

    async def forget_many(self, filter: FailedFilter, *, after: str | None = None, limit: int = MAX_ROWS) -> BulkResult:
        """Drop some of the records that a filter means, oldest first, as `retry_many` goes through them.

        Args:
            filter: Which to drop; `FailedFilter()` for all.
            after: The `next` of the call before; None for the first.
            limit: Records to drop in this call, at most 1,000.

        Raises:
            InvalidValue: `after` or `limit` is none.
        """
        ...
