"""`QueueRow`: how one queue stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from lagoqueue.monitor import QueueActivity, QueueDepth, QueueStats
from lagoqueue_dashboard.asking import LongWait
from lagoqueue_dashboard.screens.notice import Tone

FAR_TOO_LONG = 5
"""A job that has waited so many times as long as it may needs a person."""


class QueueRow(msgspec.Struct, frozen=True):
    """One queue in the table. Counts of what stands now stop at 10,000, which then means "or more".

    Attributes:
        queue: The label.
        tone: "bad" or "warn" where it falls behind, "idle" where nothing happens, else "good".
        pending, delayed, reserved, failed: Jobs that stand there now; None where the inspector does not tell.
        oldest: Seconds since the job that has waited longest came due; None without one.
        pushed, processed, retried, failures: Counted since the counters began.
        throughput: Jobs processed per second over the last minute.
        run_p50, run_p95: Seconds that handlers ran, median and 95th percentile of the last hour; None when unknown.
        wait_p50, wait_p95: Seconds from due to started, likewise.
        spark: Jobs processed in each of 30 equal parts of the last hour, oldest first; empty when unknown.
        last_at: When a job last completed; None when unknown.
    """

    queue: str
    tone: Tone
    pending: int | None
    delayed: int | None
    reserved: int | None
    failed: int | None
    oldest: float | None
    pushed: int
    processed: int
    retried: int
    failures: int
    throughput: float
    run_p50: float | None
    run_p95: float | None
    wait_p50: float | None
    wait_p95: float | None
    spark: tuple[int, ...]
    last_at: datetime | None


def queue_rows(
    stats: Sequence[QueueStats],
    depths: Sequence[QueueDepth] | None,
    activities: Sequence[QueueActivity] | None,
    long_wait: LongWait,
) -> list[QueueRow]:
    """Return one row for each label that any of the three knows, sorted.

    Args:
        stats: The counters.
        depths: What stands in the queues; None when unknown.
        activities: What they did in the last hour; None when unknown.
        long_wait: When a waiting job is late.
    """
    counted = {row.queue: row for row in stats}
    standing = {depth.queue: depth for depth in depths or ()}
    active = {each.queue: each for each in activities or ()}
    return [
        _row(
            counted.get(label, QueueStats(label)),
            None if depths is None else standing.get(label, QueueDepth(label)),
            active.get(label),
            long_wait(label),
        )
        for label in sorted(counted.keys() | standing.keys() | active.keys())
    ]


def _row(count: QueueStats, depth: QueueDepth | None, active: QueueActivity | None, late: float) -> QueueRow:
    did = active or QueueActivity(count.queue)
    return QueueRow(
        queue=count.queue,
        tone=_tone(count, depth, late),
        pending=count.pending if depth is None else depth.pending,
        delayed=None if depth is None else depth.delayed,
        reserved=None if depth is None else depth.reserved,
        failed=None if depth is None else depth.failed,
        oldest=None if depth is None else depth.oldest,
        pushed=count.pushed,
        processed=count.processed,
        retried=count.retried,
        failures=count.failed,
        throughput=count.throughput,
        run_p50=did.run.percentile(0.5),
        run_p95=did.run.percentile(0.95),
        wait_p50=did.wait.percentile(0.5),
        wait_p95=did.wait.percentile(0.95),
        spark=did.processed if active else (),
        last_at=did.last_at,
    )


def _tone(count: QueueStats, depth: QueueDepth | None, late: float) -> Tone:
    oldest = depth.oldest if depth else None
    if oldest is not None and oldest >= late:
        return "bad" if oldest >= FAR_TOO_LONG * late else "warn"
    idle = not count.throughput and not (depth.pending + depth.reserved if depth else count.pending)
    return "idle" if idle else "good"
