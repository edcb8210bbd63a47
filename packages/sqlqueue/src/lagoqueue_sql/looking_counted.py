"""What those who look see of the counters: the totals, the points of a chart, and what each label does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lagoqueue._rows import from_micros
from lagoqueue.monitor import QueueActivity, QueueStats, StatsView, ThroughputPoint, history_points
from lagoqueue.monitor.activity import in_parts
from lagoqueue.monitor.points import SHORT, buckets
from lagoqueue.monitor.stats import WINDOW
from lagoqueue.monitor.tally import PUSHED, new_tally, point, run_of, wait_of
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements_looking import LookingStatements, store_time


def stats(link: Link, sql: LookingStatements, own: int, jobs_table: str) -> StatsView:
    """Return the counters of each label, by all processes since the tables were made, and their totals."""
    totals = link.rows(sql.totals, {"jobs_table": jobs_table})
    begin = store_time(link, sql, own) / 1_000_000 - WINDOW
    recent: defaultdict[str, float] = defaultdict(float)
    since = int(begin) - SHORT
    for queue, bucket, processed, _ in link.rows(sql.recent, {"jobs_table": jobs_table, "span": SHORT, "since": since}):
        # Of the bucket in which the window begins only the part that lies inside, as if it had filled evenly.
        recent[queue] += processed * min(1.0, max(0.0, (bucket + SHORT - begin) / SHORT))
    rows = [
        _stats(queue, int(pushed), int(processed), int(failed), int(retried), recent[queue] / WINDOW)
        for queue, pushed, processed, failed, retried, _ in totals
    ]
    total = QueueStats(
        "",
        pushed=sum(row.pushed for row in rows),
        processed=sum(row.processed for row in rows),
        failed=sum(row.failed for row in rows),
        retried=sum(row.retried for row in rows),
        pending=sum(row.pending for row in rows),
        throughput=sum(row.throughput for row in rows),
    )
    return StatsView(rows, total)


def _stats(queue: str, pushed: int, processed: int, failed: int, retried: int, throughput: float) -> QueueStats:
    return QueueStats(queue, pushed, processed, failed, retried, max(0, pushed - processed - failed), throughput)


def history(
    link: Link, sql: LookingStatements, own: int, jobs_table: str, queue: str | None, minutes: int
) -> list[ThroughputPoint]:
    """Return what was done in each stretch of time, under a label or under all."""
    now = store_time(link, sql, own) / 1_000_000
    statement = sql.history if queue is None else sql.history_of_queue
    rows = link.rows(statement, _window(jobs_table, buckets(now, minutes)) | {"queue": queue})
    return history_points((point(bucket, _numbers(numbers)) for bucket, *numbers in rows), now, minutes)


def activity(link: Link, sql: LookingStatements, own: int, jobs_table: str, minutes: int) -> list[QueueActivity]:
    """Return what was done under each label."""
    window = buckets(store_time(link, sql, own) / 1_000_000, minutes)
    values = _window(jobs_table, window)
    sums = {queue: _numbers(numbers) for queue, *numbers in link.rows(sql.activity, values)}
    processed: defaultdict[str, dict[int, int]] = defaultdict(dict)
    failed: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for queue, bucket, processed_here, failed_here in link.rows(sql.recent, values):
        processed[queue][bucket] = processed_here
        failed[queue][bucket] = failed_here
    totals = link.rows(sql.totals, {"jobs_table": jobs_table})
    last = {queue: from_micros(at) for queue, *_, at in totals if at is not None}
    nothing = new_tally()
    return [
        QueueActivity(
            queue,
            run_of(sums.get(queue, nothing)),
            wait_of(sums.get(queue, nothing)),
            in_parts(window, processed[queue]),
            in_parts(window, failed[queue]),
            last.get(queue),
            sums.get(queue, nothing)[PUSHED],
        )
        for queue in sorted(sums.keys() | last.keys())
    ]


def _window(jobs_table: str, window: range) -> dict[str, object]:
    return {"jobs_table": jobs_table, "span": window.step, "since": window.start}


def _numbers(numbers: Sequence[int]) -> list[int]:
    """Return sums as whole numbers, which MySQL gives as decimals."""
    return list(map(int, numbers))
