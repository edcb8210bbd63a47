"""The plain values that inspectors return and pages show, and how pages are counted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job

PAGE_SIZE = 50
"""Rows a page; pages are counted from 1."""

LiveState = Literal["pending", "delayed", "reserved"]
"""Where a live job stands: due and waiting, waiting until it is due, or with whoever popped it."""

JobState = Literal["pending", "delayed", "reserved", "failed"]
"""Where a job stands that a store still has: live, or given up."""

_LAST_OFFSET = 2**53
"""No store holds as many rows, and every store and JSON reader can take the number."""


def page_offset(page: int) -> int:
    """Return how many rows come before a page: 0 for page 1.

    A page beyond any store's rows gives an offset beyond them too, within 64 bits.

    Raises:
        InvalidValue: Not a whole number from 1.
    """
    if type(page) is not int or page < 1:  # a bool is an int, but no page
        raise InvalidValue(f"page must be a whole number from 1, not {_shown(page)}")
    return min((page - 1) * PAGE_SIZE, _LAST_OFFSET)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an int of thousands of digits
        return "a number of thousands of digits"


class QueueStats(msgspec.Struct, frozen=True):
    """Counters of one queue label, or the totals over all of them.

    Attributes:
        queue: The label; "" in totals.
        pushed, processed, failed, retried: Counted since the counters began.
        pending: Jobs waiting or running: pushed - processed - failed, never below 0.
        throughput: Jobs processed per second over the last 60 seconds.
    """

    queue: str
    pushed: int = 0
    processed: int = 0
    failed: int = 0
    retried: int = 0
    pending: int = 0
    throughput: float = 0.0


class StatsView(msgspec.Struct, frozen=True):
    """A snapshot of all counters: `queues` sorted by label, and their `totals`."""

    queues: list[QueueStats]
    totals: QueueStats


class ThroughputSample(msgspec.Struct, frozen=True):
    """What one queue did between two polls of a `Sampler`: one point of a chart.

    Attributes:
        at: When the later poll was made, aware UTC.
        processed: Jobs processed since the poll before.
        rate: The same in jobs per minute.
    """

    at: datetime
    processed: int
    rate: float


class QueueDepth(msgspec.Struct, frozen=True):
    """What stands under one label now; each count stops at 10,000 (`COUNT_CAP`), which then means "or more".

    Attributes:
        queue: The label.
        pending: Jobs that are due and wait.
        delayed: Jobs that wait until they are due.
        reserved: Jobs that were popped and are not settled yet.
        failed: Records in the failed-jobs store.
        oldest: Seconds since the pending job that has been due longest came due; None without one.
    """

    queue: str
    pending: int = 0
    delayed: int = 0
    reserved: int = 0
    failed: int = 0
    oldest: float | None = None


class JobView(msgspec.Struct, frozen=True):
    """A row in a list of jobs; lists never carry payloads.

    Attributes:
        id, queue, name, attempts, priority, available_at: As in `Job`.
        error: Of a failed job: its last error, as `kind: message`.
        failed_at: Of a failed job: when it failed, aware UTC.
        state: Where the job stands; None in a list that does not tell due jobs from delayed ones.
        reserved_at, reserved_until: Of a reserved job: since when, and until when if nobody extends it, aware UTC.
        worker: Of a reserved job: the id of the worker that has it, if the store knows.
    """

    id: str
    queue: str
    name: str
    attempts: int
    priority: int = 0
    available_at: datetime | None = None
    error: str | None = None
    failed_at: datetime | None = None
    state: JobState | None = None
    reserved_at: datetime | None = None
    reserved_until: datetime | None = None
    worker: str | None = None

    @classmethod
    def of(
        cls, job: Job, *, queue: str | None = None, error: str | None = None, failed_at: datetime | None = None
    ) -> JobView:
        """Return the row that shows `job`."""
        return cls(
            id=job.id,
            queue=job.queue if queue is None else queue,
            name=job.name,
            attempts=job.attempts,
            priority=job.priority,
            available_at=job.available_at,
            error=error,
            failed_at=failed_at,
            state=None if failed_at is None else "failed",
        )


class JobPage(msgspec.Struct, frozen=True):
    """Some of the jobs in a list.

    Attributes:
        jobs: Fewer than asked for, or none, where a store would have to look at more than 10,000
            rows to fill the page.
        next: The `after` of the next page; None at the end, and nowhere else.
    """

    jobs: list[JobView]
    next: str | None


class JobDetail(msgspec.Struct, frozen=True):
    """All there is to see of one live job.

    Attributes:
        view: The job as a list shows it.
        job: The job with payload and headers, without its receipt: that is its worker's alone.
    """

    view: JobView
    job: Job


class WorkerView(msgspec.Struct, frozen=True):
    """A worker that lives, as far as its store can tell.

    Attributes:
        id: Its own, new with each start.
        host, pid: Where it runs.
        queues: The labels that it serves, in order.
        concurrency: Handlers that it runs at once.
        started_at, beaten_at: When it started and when it was last heard of, aware UTC.
        running: The jobs that it has reserved, those included that it has not begun.
    """

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    started_at: datetime
    beaten_at: datetime
    running: list[JobView]
