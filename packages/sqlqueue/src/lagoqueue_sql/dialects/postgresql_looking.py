"""PostgreSQL's statements of those who look; see `lagoqueue_sql.statements_looking`.

A plan is made for all values of a parameter, and may read a whole table on the way to the few records
of a rare label. So the order is that of the one index that is meant, whose columns are compared as
one row: no other index has that order, and sorting costs more than any reading of it.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lagoqueue.monitor import COUNT_CAP
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import as_json
from lagoqueue_sql.statements_looking import EARLIEST, LATEST, LEVEL, LEVELS, VIEW, Looking, LookingStatements, Place

_COUNT = """
    (SELECT count(*) FROM (
        SELECT 1 FROM json_array_elements_text(label.p) AS level(p) CROSS JOIN LATERAL (
            SELECT 1 FROM {jobs}
            WHERE queue = label.q AND priority = CAST(level.p AS integer) AND reserved_at IS NULL AND RANGE
            ORDER BY available_at, seq LIMIT CAST(:limit AS bigint)) AS one
        LIMIT CAST(:limit AS bigint)) AS counted)"""


class PostgreSQLLooking(Looking):
    """What PostgreSQL spells in its own way; `:batch` is a JSON array."""

    lock = " FOR UPDATE"

    # A chain of single seeks. Of the two parts of a step the second is read only when the first is empty.
    levels = """
    WITH RECURSIVE level(queue, priority, first) AS (
        SELECT CAST(:queue AS text) COLLATE "C", CAST(:priority AS bigint), CAST(NULL AS bigint)
        UNION ALL
        SELECT next.queue, next.priority, next.available_at FROM level CROSS JOIN LATERAL (
            SELECT * FROM (
                (SELECT queue, CAST(priority AS bigint), available_at FROM {jobs}
                 WHERE queue = level.queue AND priority < level.priority AND reserved_at IS NULL
                 ORDER BY jobs_order LIMIT 1)
                UNION ALL
                (SELECT queue, CAST(priority AS bigint), available_at FROM {jobs}
                 WHERE queue > level.queue AND CAST(:one AS integer) = 0 AND reserved_at IS NULL
                 ORDER BY jobs_order LIMIT 1)) AS either(queue, priority, available_at)
            LIMIT 1) AS next
    )
    SELECT queue, priority, first FROM level WHERE first IS NOT NULL LIMIT :limit""".replace(
        "jobs_order", "{jobs}.queue, {jobs}.priority DESC, {jobs}.available_at, {jobs}.seq"
    )

    # Levels with q (label), p (priority), and a and s (the place to go on from: instant and number).
    waiting_page = f"""
    SELECT page.* FROM json_to_recordset(CAST(:batch AS json)) AS level(q text, p integer, a bigint, s bigint)
    CROSS JOIN LATERAL (
        SELECT {VIEW} FROM {{jobs}}
        WHERE queue = level.q AND priority = level.p AND reserved_at IS NULL
          AND (available_at, seq) > (level.a, level.s) AND available_at <= CAST(:until AS bigint)
        ORDER BY available_at, seq LIMIT CAST(:limit AS bigint)) AS page
    LIMIT CAST(:limit AS bigint)"""

    # The place is found in the index alone, and `seq` alone in no index.
    level_page = f"""
    SELECT {VIEW} FROM {{jobs}}
    WHERE {LEVEL} AND (available_at, seq) >= (
        SELECT available_at, seq FROM {{jobs}} WHERE {LEVEL} ORDER BY available_at, seq LIMIT 1 OFFSET :offset)
    ORDER BY available_at, seq LIMIT :limit"""

    # Labels with q and p (an array of priorities): how many of their jobs are due, and how many delayed.
    count_waiting = f"""
    SELECT label.q,
        {_COUNT.replace("RANGE", "available_at <= CAST(:now AS bigint)")},
        {_COUNT.replace("RANGE", "available_at > CAST(:now AS bigint)")}
    FROM json_to_recordset(CAST(:batch AS json)) AS label(q text, p json)"""

    failed_labels = f"""
    WITH RECURSIVE label(queue) AS (
        (SELECT queue FROM {{failed_jobs}} ORDER BY queue, seq LIMIT 1)
        UNION ALL
        SELECT next.queue FROM label CROSS JOIN LATERAL (
            SELECT queue FROM {{failed_jobs}} WHERE queue > label.queue ORDER BY queue, seq LIMIT 1) AS next
    )
    SELECT queue, (SELECT count(*) FROM (
        SELECT 1 FROM {{failed_jobs}}
        WHERE (queue, seq) > (label.queue, {EARLIEST}) AND (queue, seq) < (label.queue, {LATEST})
        ORDER BY queue, seq LIMIT CAST(:cap AS bigint)) AS counted)
    FROM label LIMIT :limit"""

    failed_queue_range = "(queue, seq) > (:queue, :above) AND (queue, seq) < (:queue, :below)"
    failed_queue_order = ("queue", "seq")
    # What a check lets through cannot be foreseen, and a plan for next to nothing would read all. So the records
    # are named first and looked up then.
    failed_queue_window = f"""
    seq = ANY(ARRAY(SELECT of_queue.seq FROM {{failed_jobs}} AS of_queue
                    WHERE {failed_queue_range.replace("seq", "of_queue.seq").replace("(queue", "(of_queue.queue")}
                    ORDER BY of_queue.queue, of_queue.seq LIMIT CAST(:looked AS bigint)))"""
    text_in_error = "strpos(error, :text) > 0"

    def page(
        self, link: Link, sql: LookingStatements, places: Sequence[Place], *, until: int, limit: int
    ) -> Sequence[Row]:
        batch = as_json([{"q": p.queue, "p": p.priority, "a": p.at, "s": p.seq} for p in places])
        return link.rows(sql.waiting_page, {"batch": batch, "until": until, "limit": limit})

    def waiting(
        self, link: Link, sql: LookingStatements, levels: Mapping[str, Sequence[int]], *, now: int
    ) -> dict[str, tuple[int, int]]:
        batch = as_json([{"q": queue, "p": priorities} for queue, priorities in levels.items()])
        rows = link.rows(sql.write(self.count_waiting), {"batch": batch, "now": now, "limit": COUNT_CAP})
        return {queue: (pending, delayed) for queue, pending, delayed in rows}

    def failed(self, link: Link, sql: LookingStatements) -> dict[str, int]:
        return dict(link.rows(sql.failed_labels, {"limit": LEVELS, "cap": COUNT_CAP}))
