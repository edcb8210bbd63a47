"""The statements that SQLite spells in its own way (JSON for batches, RETURNING since 3.35)."""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from lagoqueue_sql.statements import COLUMNS, JOB_VALUES
from lagoqueue_sql.statements_counting import ON_CONFLICT, count_history, count_total

_HELD = """
    FROM json_each(:batch) AS batch
    WHERE {jobs}.seq = json_extract(batch.value, '$.s')
      AND {jobs}.receipt = json_extract(batch.value, '$.r')
      AND {jobs}.id = json_extract(batch.value, '$.i') AND {jobs}.reserved_at IS NOT NULL"""
"""For UPDATE ... FROM: the rows of the batch whose reservation still holds."""

_HELD_SEQS = """
    WHERE seq IN (
        SELECT held.seq FROM json_each(:batch) AS batch CROSS JOIN {jobs} AS held
        WHERE held.seq = json_extract(batch.value, '$.s')
          AND held.receipt = json_extract(batch.value, '$.r')
          AND held.id = json_extract(batch.value, '$.i') AND held.reserved_at IS NOT NULL)"""
"""For DELETE, which has no FROM: the same."""


class SQLiteStatements:
    """See `lagoqueue_sql.statements.Statements` for what each is for."""

    now: str | None = None

    push = f"INSERT INTO {{jobs}} ({COLUMNS}) VALUES ({JOB_VALUES}) ON CONFLICT (id) DO NOTHING"

    push_many = push_each = push  # run once for each; there is no base64 for one JSON array of them

    # Each priority is one seek in the index, and the first job of it another.
    look = """
    WITH RECURSIVE level(queue, priority) AS (
        SELECT json_extract(label.value, '$.q'),
               (SELECT max(priority) FROM {jobs}
                WHERE queue = json_extract(label.value, '$.q') AND reserved_at IS NULL)
        FROM json_each(:batch) AS label
        UNION ALL
        SELECT level.queue, (SELECT max(next.priority) FROM {jobs} AS next
                             WHERE next.queue = level.queue AND next.reserved_at IS NULL
                               AND next.priority < level.priority)
        FROM level WHERE level.priority IS NOT NULL
    )
    SELECT queue, priority, (SELECT min(first.available_at) FROM {jobs} AS first
                             WHERE first.queue = level.queue AND first.priority = level.priority
                               AND first.reserved_at IS NULL), {now}
    FROM level"""
    # Two statements, with a semicolon between them: the second reads, by the instant at which they expire, what the first
    # reserved in each level. RETURNING would copy every row aside first.
    claim = f"""
    UPDATE {{jobs}} SET reserved_at = {{now}}, reserved_until = {{now}} + :timeout, receipt = :receipt,
           worker = :worker, attempts = attempts + 1
    WHERE seq IN (
        SELECT seq FROM {{jobs}}
        WHERE queue = :queue AND priority = :priority AND reserved_at IS NULL
          AND (available_at, seq) >= (:floor, :floor_seq) AND available_at <= {{now}}
        ORDER BY priority DESC, available_at, seq LIMIT :limit);
    SELECT {COLUMNS}, seq, reserved_at FROM {{jobs}} INDEXED BY {{reserved}}
    WHERE reserved_at IS NOT NULL AND reserved_until = {{now}} + :timeout AND receipt = :receipt"""
    turn = ""  # `ack` and `claim`, one after the other
    # What was let go has no receipt, so that `outcome` tells it from what was put back.
    reclaim = """
    UPDATE {jobs} SET reserved_at = NULL, reserved_until = NULL, receipt = NULL
    WHERE reserved_at IS NOT NULL AND reserved_until > :since AND reserved_until <= {now}
    RETURNING queue, priority, available_at"""

    # Run once for each: a prepared DELETE takes less than reading one element of a JSON array.
    ack = "DELETE FROM {jobs} WHERE seq = :s AND receipt = :r AND id = :i AND reserved_at IS NOT NULL"
    # What was put back keeps its receipt, so that it can be returned; without reserved_at it proves nothing.
    put_back = f"""
    UPDATE {{jobs}}
    SET available_at = {{now}} + json_extract(batch.value, '$.d'),
        attempts = attempts - json_extract(batch.value, '$.b'),
        reserved_at = NULL, reserved_until = NULL {_HELD}
    RETURNING id, seq, receipt"""
    extend = f"UPDATE {{jobs}} SET reserved_until = {{now}} + :timeout {_HELD} RETURNING id, seq, receipt"
    bury = f"DELETE FROM {{jobs}} {_HELD_SEQS} RETURNING id, seq, receipt, {COLUMNS}"

    enrol = """
    INSERT INTO {workers} (id, jobs_table, host, pid, queues, concurrency, started_at, beaten_at)
    VALUES (:id, :jobs_table, :host, :pid, :queues, :concurrency, {now}, {now})
    ON CONFLICT (id) DO UPDATE SET beaten_at = excluded.beaten_at"""
    release_orphans = """
    UPDATE {jobs} SET reserved_at = NULL, reserved_until = NULL, receipt = NULL
    WHERE reserved_at IS NOT NULL AND worker = :id
    RETURNING queue, priority, available_at"""
    count_total = count_total(ON_CONFLICT)
    count_history = count_history(ON_CONFLICT)
