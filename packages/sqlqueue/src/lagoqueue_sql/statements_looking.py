"""The statements of those who look: they read, in bounded steps, and never a payload for a list.

Their templates are written as those in `statements`. The store's time is read first (`clock`) and then
passed as `:now`, so that all that one call says is of one moment.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lagoqueue.monitor import COUNT_CAP
from lagoqueue.monitor.tally import NAMES
from lagoqueue_sql.link import Link, Placeholders, Row, spell
from lagoqueue_sql.schema import Schema
from lagoqueue_sql.statements import COLUMNS, DialectStatements, clock

VIEW = "id, queue, name, attempts, priority, available_at, reserved_at, reserved_until, worker, seq"
"""The columns of a job in a list."""

LEVELS = 10_000
"""Labels and priorities that one statement lists at most."""

EARLIEST, LATEST = -(2**62), 2**62
"""Before and after all instants; and so before and after all numbers of rows."""

LEVEL = "queue = :queue AND reserved_at IS NULL AND priority = :priority"
"""What waits under a label with one priority."""


class Place(NamedTuple):
    """Where to go on in a level: behind the job that is due at an instant and has a number."""

    queue: str
    priority: int
    at: int
    seq: int


class Looking:
    """How to look at what waits and what failed, where a statement costs little; dialects replace some.

    A level is a priority under a label; within one, what waits is a range of the index of the waiting
    jobs, first what is due and then what is delayed.

    Attributes:
        hint: Behind a table's name: by which index to read it.
        lock: Behind a SELECT: keep its rows until the end of the transaction.
        levels: The levels in the order of `pop`, one label after another, that come behind a priority
            of a label, each with the instant of its first job; only that label's when `:one` is 1.
        waiting_page: Jobs of a level from a place to an instant.
        level_page: Jobs of a level, by how many come before.
        failed_labels: The labels that have failed jobs, sorted.
        failed_queue_range: What holds for the records of a label between two numbers.
        failed_queue_order: What the index that finds them is sorted by, as far as the database has to be told.
        failed_queue_window: The same where there are no more than `:looked`, and something is to be checked of each.
        text_in_error: Whether the error holds a text, to the letter.
        requeue: Copy the records with certain numbers to the jobs, except where an id is live.
    """

    hint = ""
    lock = ""
    levels: str
    waiting_page = (
        f"SELECT {VIEW} FROM {{jobs_by_waiting}} WHERE queue = :queue AND reserved_at IS NULL AND priority = :priority"
        " AND available_at >= :at AND (available_at > :at OR seq > :seq) AND available_at <= :until"
        " ORDER BY available_at, seq LIMIT :limit"
    )
    level_page = (
        f"SELECT {VIEW} FROM (SELECT seq AS place FROM {{jobs_by_waiting}} WHERE {LEVEL}"
        " ORDER BY available_at, seq LIMIT :limit OFFSET :offset) AS page"
        " JOIN {jobs} ON seq = place ORDER BY available_at, seq"
    )
    failed_labels: str
    failed_queue_range = "queue = :queue AND seq > :above AND seq < :below"
    failed_queue_order: tuple[str, ...] = ("seq",)
    failed_queue_window = failed_queue_range
    text_in_error = "instr(error, :text) > 0"
    requeue = (
        f"INSERT INTO {{jobs}} ({COLUMNS}) SELECT id, name, payload, 0, :now, queue, priority, headers"
        " FROM {failed_jobs} WHERE seq IN (SEQS) ORDER BY seq ON CONFLICT (id) DO NOTHING"
    )

    def page(
        self, link: Link, sql: LookingStatements, places: Sequence[Place], *, until: int, limit: int
    ) -> Sequence[Row]:
        """Return up to `limit` waiting jobs that are due up to an instant, one level after another."""
        rows: list[Row] = []
        for place in places:
            left = limit - len(rows)
            if left == 0:
                break
            rows += link.rows(sql.waiting_page, {**place._asdict(), "until": until, "limit": left})
        return rows

    def waiting(
        self, link: Link, sql: LookingStatements, levels: Mapping[str, Sequence[int]], *, now: int
    ) -> dict[str, tuple[int, int]]:
        """Return how many jobs are due and how many are delayed under each label, given with its priorities."""
        return {
            queue: (
                self._count(link, sql, queue, priorities, EARLIEST, now),
                self._count(link, sql, queue, priorities, now, LATEST),
            )
            for queue, priorities in levels.items()
        }

    def _count(
        self, link: Link, sql: LookingStatements, queue: str, priorities: Sequence[int], behind: int, until: int
    ) -> int:
        count = 0
        for priority in priorities:
            values = {"queue": queue, "priority": priority, "behind": behind, "until": until}
            count += link.rows(sql.level_count, {**values, "limit": COUNT_CAP - count})[0][0]
            if count == COUNT_CAP:
                break
        return count

    def failed(self, link: Link, sql: LookingStatements) -> dict[str, int]:
        """Return how many records each label has that has any, sorted by label."""
        return {
            queue: link.rows(sql.failed_count, {"queue": queue, "limit": COUNT_CAP})[0][0]
            for queue, *_ in link.rows(sql.failed_labels, {"limit": LEVELS})
        }


_RESERVED = "reserved_at IS NOT NULL AND reserved_until >= :at AND (reserved_until > :at OR seq > :seq)"


@dataclass(frozen=True)
class LookingStatements:
    """What each is for, beside those of `Looking`; instants and durations in microseconds.

    Attributes:
        looking: How the dialect looks.
        write: Turns a template into a statement.
        clock: The store's time.
        level_count: How many jobs of a level come due between two instants.
        failed_count: How many records a label has.
        reserved_end: The place behind which 10,000 reservations lie, and the one after it if there is one.
        reserved_page: Reserved jobs from one place to another, as their reservations end.
        reserved_labels: How many reservations there are under each label.
        expired: How many reservations ran out before an instant, and when the first did.
        job: One live job, by its id.
        workers: The workers that were heard of lately.
        running: What they have reserved, some for each.
        totals: What was counted under each label since the tables were made, and when a job was last processed.
        recent: What was processed and what failed under each label in each bucket from an instant on.
        activity, history: All that was counted from an instant on, under each label or in each bucket.
        failed_first: The number of the failed job before which so many come.
        failed_list: The failed jobs from a number on, newest first.
    """

    looking: Looking
    write: Callable[[str], str]
    clock: str
    levels: str
    waiting_page: str
    level_count: str
    level_page: str
    failed_labels: str
    failed_count: str
    reserved_end: str
    reserved_page: str
    reserved_page_of_queue: str
    reserved_labels: str
    expired: str
    job: str
    workers: str
    running: str
    totals: str
    recent: str
    activity: str
    history: str
    history_of_queue: str
    failed_first: str
    failed_list: str


def store_time(link: Link, sql: LookingStatements, own: int) -> int:
    """Return the store's time in microseconds, which is the caller's own where the store has no clock."""
    return int(link.rows(sql.clock, {"now": own})[0][0])


_DIALECT = ("levels", "waiting_page", "level_page", "failed_labels")

_RESERVED_PAGE = (
    f"SELECT {VIEW} FROM {{jobs_by_reserved}} WHERE {_RESERVED} AND reserved_until <= :until QUEUE"
    " ORDER BY reserved_until, seq LIMIT :limit"
)
_SUMS = ", ".join(f"sum({name})" for name in NAMES)
_IN_WINDOW = "FROM {history} WHERE jobs_table = :jobs_table AND span = :span AND bucket >= :since"
_HISTORY = f"SELECT bucket, {_SUMS} {_IN_WINDOW} QUEUE GROUP BY bucket"

_SHARED = {
    "level_count": (
        f"SELECT count(*) FROM (SELECT 1 AS one FROM {{jobs_by_waiting}} WHERE {LEVEL} AND available_at > :behind"
        " AND available_at <= :until ORDER BY available_at, seq LIMIT :limit) AS counted"
    ),
    "failed_count": (
        "SELECT count(*) FROM (SELECT 1 AS one FROM {failed_by_queue} WHERE queue = :queue LIMIT :limit) AS counted"
    ),
    "reserved_end": (
        f"SELECT reserved_until, seq FROM {{jobs_by_reserved}} WHERE {_RESERVED}"
        " ORDER BY reserved_until, seq LIMIT 2 OFFSET :skip"
    ),
    "reserved_page": _RESERVED_PAGE.replace("QUEUE", ""),
    "reserved_page_of_queue": _RESERVED_PAGE.replace("QUEUE", "AND queue = :queue"),
    "reserved_labels": (
        "SELECT queue, count(*) FROM (SELECT queue FROM {jobs_by_reserved} WHERE reserved_at IS NOT NULL"
        " AND reserved_until > :at ORDER BY reserved_until LIMIT :limit) AS held GROUP BY queue"
    ),
    "expired": (
        "SELECT count(*), min(ended) FROM (SELECT reserved_until AS ended FROM {jobs_by_reserved}"
        " WHERE reserved_at IS NOT NULL AND reserved_until <= :until ORDER BY reserved_until LIMIT :limit) AS held"
    ),
    "job": f"SELECT {COLUMNS}, reserved_at, reserved_until, worker FROM {{jobs}} WHERE id = :id",
    "workers": (
        "SELECT id, host, pid, queues, concurrency, started_at, beaten_at FROM {workers}"
        " WHERE jobs_table = :jobs_table AND beaten_at >= :now - :silence ORDER BY started_at, id LIMIT :limit"
    ),
    "running": (
        f"SELECT {VIEW} FROM (SELECT {VIEW}, row_number() OVER (PARTITION BY worker ORDER BY reserved_at, seq) AS place"
        f" FROM (SELECT {VIEW} FROM {{jobs_by_reserved}} WHERE reserved_at IS NOT NULL AND reserved_until > :at"
        " ORDER BY reserved_until LIMIT :looked) AS held WHERE worker IS NOT NULL) AS each_job"
        " WHERE place <= :limit ORDER BY reserved_at, seq"
    ),
    "totals": (
        "SELECT queue, pushed, processed, failed, retried, processed_at FROM {totals}"
        " WHERE jobs_table = :jobs_table ORDER BY queue"
    ),
    "recent": f"SELECT queue, bucket, processed, failed {_IN_WINDOW}",
    "activity": f"SELECT queue, {_SUMS} {_IN_WINDOW} GROUP BY queue",
    "history": _HISTORY.replace("QUEUE", ""),
    "history_of_queue": _HISTORY.replace("QUEUE", "AND queue = :queue"),
    "failed_first": "SELECT seq FROM {failed_jobs} ORDER BY seq DESC LIMIT 1 OFFSET :offset",
    "failed_list": (
        "SELECT id, queue, name, attempts, priority, available_at, error, failed_at FROM {failed_jobs}"
        " WHERE seq <= :first ORDER BY seq DESC LIMIT :limit"
    ),
}


def build_looking(
    schema: Schema,
    looking: Looking,
    dialect: DialectStatements,
    placeholders: Placeholders,
    *,
    server_clock: bool,
) -> LookingStatements:
    """Return the statements for these tables on this kind of database; see `statements.build`."""
    names = schema.names
    write = partial(
        _write,
        placeholders,
        {
            **names,
            "jobs_by_waiting": names["jobs"] + looking.hint.format(names["waiting"]),
            "jobs_by_reserved": names["jobs"] + looking.hint.format(names["reserved"]),
            "failed_by_queue": names["failed_jobs"] + looking.hint.format(names["failed_queue"]),
        },
    )
    texts: dict[str, Any] = {name: write(getattr(looking, name)) for name in _DIALECT}
    texts |= {name: write(template) for name, template in _SHARED.items()}
    return LookingStatements(looking, write, write(f"SELECT {clock(dialect, server_clock)}"), **texts)


def _write(placeholders: Placeholders, names: dict[str, str], template: str) -> str:
    return spell(template.format(**names), placeholders)
