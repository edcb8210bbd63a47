"""The plain values that inspectors return and pages show, and how pages are counted."""

from __future__ import annotations

from datetime import datetime

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job

PAGE_SIZE = 50
"""Rows a page; pages are counted from 1."""

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


class JobView(msgspec.Struct, frozen=True):
    """A row in a list of jobs; lists never carry payloads.

    Attributes:
        id, queue, name, attempts, priority, available_at: As in `Job`.
        error: Of a failed job: its last error, as `kind: message`.
        failed_at: Of a failed job: when it failed, aware UTC.
    """

    id: str
    queue: str
    name: str
    attempts: int
    priority: int = 0
    available_at: datetime | None = None
    error: str | None = None
    failed_at: datetime | None = None

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
        )
