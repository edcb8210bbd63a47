"""Looking at live jobs, workers and counters: functions that read, each for a moment that it asks the store for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from lagoqueue._rows import from_micros
from lagoqueue.errors import InvalidValue, JobNotFound
from lagoqueue.job import MAX_PRIORITY
from lagoqueue.monitor import (
    COUNT_CAP,
    MAX_ROWS,
    PAGE_SIZE,
    JobDetail,
    JobPage,
    JobState,
    JobView,
    LiveState,
    QueueDepth,
    WorkerView,
)
from lagoqueue.monitor.paging import read_cursor, write_cursor
from lagoqueue_sql.failed_search import paged
from lagoqueue_sql.keeper import SILENCE
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import duration, row_job
from lagoqueue_sql.statements_looking import EARLIEST, LATEST, LEVELS, LookingStatements, Place, store_time

RESERVED = 10 * COUNT_CAP
"""Reservations that are looked at to tell how many there are under each label; they have no index by label."""

FIRST_LEVELS = 100
"""Levels among which a page is looked for first; it goes on to more when those do not fill it."""

_ABOVE, _BELOW = MAX_PRIORITY + 1, -MAX_PRIORITY - 1
"""Above and below all priorities."""

_decode_queues = msgspec.json.Decoder(tuple[str, ...]).decode


# --- Depths ---------------------------------------------------------------------------------------


def depths(link: Link, sql: LookingStatements, own: int) -> list[QueueDepth]:
    """Return what stands under each label."""
    now = store_time(link, sql, own)
    levels: defaultdict[str, list[int]] = defaultdict(list)
    oldest: dict[str, int] = {}
    for queue, priority, first in _levels(link, sql):
        levels[queue].append(priority)
        if first <= now:
            oldest[queue] = min(first, oldest.get(queue, first))
    waiting = sql.looking.waiting(link, sql, levels, now=now)
    reserved: dict[str, int] = dict(link.rows(sql.reserved_labels, {"at": EARLIEST, "limit": RESERVED}))
    failed = sql.looking.failed(link, sql)
    return [
        QueueDepth(
            label,
            *waiting.get(label, (0, 0)),
            min(reserved.get(label, 0), COUNT_CAP),
            failed.get(label, 0),
            (now - oldest[label]) / 1_000_000 if label in oldest else None,
        )
        for label in sorted(waiting.keys() | reserved.keys() | failed.keys())
    ]


def _levels(link: Link, sql: LookingStatements) -> list[Row]:
    """Return the levels of all labels; of a label with thousands of priorities perhaps the first ones only."""
    levels: list[Row] = []
    queue, priority = "", _ABOVE
    while True:
        rows = link.rows(sql.levels, {"queue": queue, "priority": priority, "one": 0, "limit": LEVELS})
        levels += rows
        if len(rows) < LEVELS:
            return levels
        queue, priority = rows[-1][0], _BELOW


# --- Jobs -----------------------------------------------------------------------------------------


def waiting_page(
    link: Link, sql: LookingStatements, own: int, state: LiveState, queue: str | None, after: str | None, limit: int
) -> JobPage:
    """Return some of the pending or delayed jobs, in the order of `pop`.

    Raises:
        InvalidValue: `after` is not the `next` of such a page.
    """
    place = (
        Place(queue or "", MAX_PRIORITY, EARLIEST, 0)
        if after is None
        else Place(*read_cursor(after, tuple[str, int, int, int]))
    )
    if queue not in (None, place.queue):
        raise InvalidValue(f"after must be the `next` of a page of the same list, and not of one of {place.queue!r}")
    now = store_time(link, sql, own)
    # A page goes on in the level where the last one ended; others begin with what is due, or right behind it.
    begin, until = ((EARLIEST, 0), now) if state == "pending" else ((now, LATEST), LATEST)
    found: list[Row] = []
    start: tuple[str, int] = (place.queue, place.priority + 1)
    looked, step = 0, FIRST_LEVELS
    onward: str | None = None
    while True:
        levels = link.rows(
            sql.levels, {"queue": start[0], "priority": start[1], "one": int(queue is not None), "limit": step}
        )
        places = [
            Place(label, priority, *max(begin, place[2:] if (label, priority) == place[:2] else begin))
            for label, priority, first in levels
            if state == "delayed" or first <= now
        ]
        found += sql.looking.page(link, sql, places, until=until, limit=limit + 1 - len(found))
        if len(found) > limit:
            _, label, _, _, priority, at, *_, seq = found[limit - 1]
            onward = write_cursor(label, priority, at, seq)
            break
        if len(levels) < step:
            break
        start, looked, step = levels[-1][:2], looked + step, LEVELS
        if looked >= LEVELS:
            onward = write_cursor(*start, LATEST, LATEST)
            break
    return JobPage([view(row, state) for row in found[:limit]], onward)


def reserved_page(link: Link, sql: LookingStatements, queue: str | None, after: str | None, limit: int) -> JobPage:
    """Return some of the reserved jobs, those first whose reservations end first.

    Raises:
        InvalidValue: `after` is not the `next` of such a page.
    """
    at, seq = (EARLIEST, 0) if after is None else read_cursor(after, tuple[int, int])
    values: dict[str, Any] = {"at": at, "seq": seq, "until": LATEST, "limit": limit + 1, "queue": queue}
    onward = None
    if queue is None:
        rows = link.rows(sql.reserved_page, values)
    else:  # no index has them by label: look at so many and no more
        end = link.rows(sql.reserved_end, {"at": at, "seq": seq, "skip": COUNT_CAP - 1})
        rows = link.rows(sql.reserved_page_of_queue, values | ({"until": end[0][0]} if end else {}))
        if len(end) == 2:
            onward = write_cursor(*end[0])
            rows = [row for row in rows if (row[7], row[9]) <= end[0]]
    if len(rows) > limit:
        onward = write_cursor(rows[limit - 1][7], rows[limit - 1][9])
    return JobPage([view(row, "reserved") for row in rows[:limit]], onward)


def view(row: Row, state: JobState) -> JobView:
    """Return the row of a list, from the columns `statements_looking.VIEW`."""
    job_id, queue, name, attempts, priority, available_at, reserved_at, reserved_until, worker, *_ = row
    reserved = state == "reserved"
    return JobView(
        id=job_id,
        queue=queue,
        name=name,
        attempts=attempts,
        priority=priority,
        available_at=from_micros(available_at),
        state=state,
        reserved_at=from_micros(reserved_at) if reserved else None,
        reserved_until=from_micros(reserved_until) if reserved else None,
        worker=worker if reserved else None,
    )


def detail(link: Link, sql: LookingStatements, own: int, job_id: str) -> JobDetail:
    """Return one live job whole.

    Raises:
        JobNotFound: No live job has this id.
    """
    rows = link.rows(sql.job, {"id": job_id})
    if not rows:
        raise JobNotFound(job_id)
    job = row_job(rows[0])
    available_at, (reserved_at, reserved_until, worker) = rows[0][4], rows[0][8:]
    state: LiveState = "reserved"
    if reserved_at is None:
        state = "pending" if available_at <= store_time(link, sql, own) else "delayed"
    row = (
        *(job.id, job.queue, job.name, job.attempts, job.priority),
        *(available_at, reserved_at, reserved_until, worker),
    )
    return JobDetail(view(row, state), job)


def failed_page(link: Link, sql: LookingStatements, offset: int) -> list[JobView]:
    """Return the page of failed jobs that comes behind so many."""
    return [
        JobView(
            id=job_id,
            queue=queue,
            name=name,
            attempts=attempts,
            priority=priority,
            available_at=None if available_at is None else from_micros(available_at),
            error=error,
            failed_at=from_micros(failed_at),
            state="failed",
        )
        for job_id, queue, name, attempts, priority, available_at, error, failed_at in paged(
            link, sql, sql.failed_list, offset
        )
    ]


def pending_page(link: Link, sql: LookingStatements, own: int, queue: str, offset: int) -> list[JobView]:
    """Return the page of jobs under a label, due or delayed, that comes behind so many."""
    now = store_time(link, sql, own)
    rows: list[Row] = []
    for label, priority, _ in link.rows(sql.levels, {"queue": queue, "priority": _ABOVE, "one": 1, "limit": LEVELS}):
        level = {"queue": label, "priority": priority}
        rows += link.rows(sql.level_page, {**level, "limit": PAGE_SIZE - len(rows), "offset": offset})
        if len(rows) == PAGE_SIZE:
            break
        bounds = {"behind": EARLIEST, "until": LATEST, "limit": offset}
        offset -= link.rows(sql.level_count, level | bounds)[0][0] if offset else 0
    return [view(row, "pending" if row[5] <= now else "delayed") for row in rows]


# --- Workers --------------------------------------------------------------------------------------


def workers(link: Link, sql: LookingStatements, own: int, jobs_table: str) -> list[WorkerView]:
    """Return the workers that were heard of lately, each with up to 50 of the jobs that it has reserved."""
    now = store_time(link, sql, own)
    values = {"jobs_table": jobs_table, "now": now, "silence": duration(SILENCE), "limit": MAX_ROWS}
    found = link.rows(sql.workers, values)
    running: defaultdict[str, list[JobView]] = defaultdict(list)
    if found:
        for row in link.rows(sql.running, {"at": EARLIEST, "looked": COUNT_CAP, "limit": PAGE_SIZE}):
            running[row[8]].append(view(row, "reserved"))
    return [
        WorkerView(
            worker,
            host,
            pid,
            _decode_queues(queues),
            concurrency,
            from_micros(started_at),
            from_micros(beaten_at),
            running[worker],
        )
        for worker, host, pid, queues, concurrency, started_at, beaten_at in found
    ]
