"""`Inspector`: what a page or a command line may see and do, and `DetailedInspector`, which sees more."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lagoqueue.monitor.activity import QueueActivity
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.monitor.health import HealthCheck
from lagoqueue.monitor.points import HOUR, ThroughputPoint
from lagoqueue.monitor.views import (
    PAGE_SIZE,
    JobDetail,
    JobPage,
    JobView,
    LiveState,
    QueueDepth,
    StatsView,
    WorkerView,
)


class Inspector(Protocol):
    """The seam between a store and those who look at it. Pages are counted from 1, 50 rows each."""

    async def stats(self) -> StatsView:
        """Return the counters of every queue and their totals."""
        ...

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        """Return one page of the jobs that wait under a label, in the order in which they run.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        ...

    async def failed(self, page: int = 1) -> list[JobView]:
        """Return one page of failed jobs, newest first.

        Raises:
            InvalidValue: `page` is not a whole number from 1.
        """
        ...

    async def retry(self, job_id: str) -> None:
        """Put a failed job back in its queue and drop its record.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
            ReadOnly: There is no failed-jobs store.
        """
        ...

    async def forget(self, job_id: str) -> None:
        """Drop the record of a failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            ReadOnly: There is no failed-jobs store.
        """
        ...

    async def flush_failed(self) -> int:
        """Drop the record of every failed job and return how many there were.

        Raises:
            ReadOnly: There is no failed-jobs store.
        """
        ...


@runtime_checkable
class DetailedInspector(Inspector, Protocol):
    """An inspector that also looks at each queue, job and worker; `isinstance` tells whether one is.

    A database can answer each call in about the same time however many jobs there are: counts
    stop at 10,000 (`COUNT_CAP`), and lists are read on from a place, never by counting pages.
    """

    @property
    def failed_jobs(self) -> FailedJobs | None:
        """The store with which failed jobs are searched, grouped, retried and dropped; None without one."""
        ...

    async def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any job, live or failed, sorted by label."""
        ...

    async def jobs(
        self, state: LiveState, queue: str | None = None, *, after: str | None = None, limit: int = PAGE_SIZE
    ) -> JobPage:
        """Return some of the live jobs in one state.

        Pending and delayed ones come in the order of `pop`, one label after another; reserved ones
        by the instant at which their reservation ends. A job that moves between two pages may be in both or in none.

        Args:
            state: "pending", "delayed" or "reserved"; failed jobs are in `failed_jobs`.
            queue: Only those under this label.
            after: The `next` of the page before; None for the first page.
            limit: Rows of the page, at most 1,000.

        Raises:
            InvalidValue: An argument is not what it may be.
        """
        ...

    async def job(self, job_id: str) -> JobDetail:
        """Return one live job whole.

        Raises:
            JobNotFound: No live job has this id.
        """
        ...

    async def workers(self) -> list[WorkerView] | None:
        """Return the workers that live, the one that started first before others; None where nobody knows of any.

        An empty list says that none lives.
        """
        ...

    async def history(self, queue: str | None = None, *, minutes: int = HOUR) -> list[ThroughputPoint]:
        """Return what was done up to now, oldest first; empty where nobody counts.

        Up to 60 minutes, there is a point for each ten seconds; beyond that one for each five minutes,
        in whole ones. The ten seconds or five minutes that run are left out.

        Args:
            queue: Under this label; under all together when None.
            minutes: How far to look back, at most 1,440: a day.

        Raises:
            InvalidValue: `queue` is no label, or `minutes` not a whole number from 1 to 1,440.
        """
        ...

    async def activity(self, *, minutes: int = HOUR) -> list[QueueActivity]:
        """Return what was done under each label that has done anything, sorted by label; empty where nobody counts.

        A label in which nothing was done in the window is there while it is known when it last was.

        Args:
            minutes: How far to look back, as in `history`.

        Raises:
            InvalidValue: `minutes` is not a whole number from 1 to 1,440.
        """
        ...

    async def health(self) -> list[HealthCheck]:
        """Look at what can go wrong in the store itself, and say what was found; empty where there is nothing to look at.

        A check that cannot be made says so, and why, and does not raise.
        """
        ...
