"""The statements that SQLite spells in its own way (JSON for batches, RETURNING since 3.35)."""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from lagoqueue_sql.statements import COLUMNS

_WAITING = "queue = :queue AND reserved_at IS NULL"

_LEVELS = f"""
    WITH RECURSIVE level(priority) AS (
        SELECT max(priority) FROM {{jobs}} WHERE {_WAITING} AND priority < {{below}}
        UNION ALL
        SELECT (SELECT max(next.priority) FROM {{jobs}} AS next
                WHERE next.queue = :queue AND next.reserved_at IS NULL AND next.priority < level.priority)
        FROM level WHERE level.priority IS NOT NULL
    )"""
"""The priorities that wait under a label, highest first, each found by one seek in the index."""

_HELD = """
    FROM json_each(:batch) AS batch
    WHERE {jobs}.id = json_extract(batch.value, '$[0]')
      AND {jobs}.receipt = json_extract(batch.value, '$[1]') AND {jobs}.reserved_at IS NOT NULL"""
"""For UPDATE ... FROM: the rows of the batch whose reservation still holds."""

_HELD_SEQS = """
    WHERE seq IN (
        SELECT held.seq FROM json_each(:batch) AS batch CROSS JOIN {jobs} AS held
        WHERE held.id = json_extract(batch.value, '$[0]')
          AND held.receipt = json_extract(batch.value, '$[1]') AND held.reserved_at IS NOT NULL)"""
"""For DELETE, which has no FROM: the same."""


class SQLiteStatements:
    """See `lagoqueue_sql.statements.Statements` for what each is for."""

    push = (
        f"INSERT INTO {{jobs}} ({COLUMNS}) VALUES"
        " (:id, :name, :payload, :attempts, :available_at, :queue, :priority, :headers)"
        " ON CONFLICT (id) DO NOTHING"
    )
    due_level = (
        _LEVELS.replace("{below}", ":below")
        + f"""
    SELECT priority FROM level
    WHERE priority IS NOT NULL AND EXISTS (
        SELECT 1 FROM {{jobs}} AS due
        WHERE {_WAITING} AND due.priority = level.priority AND due.available_at <= :now)
    LIMIT 1"""
    )
    earliest = (
        _LEVELS.replace(" AND priority < {below}", "")
        + f"""
    SELECT min((SELECT min(first.available_at) FROM {{jobs}} AS first
                WHERE {_WAITING} AND first.priority = level.priority))
    FROM level WHERE priority IS NOT NULL"""
    )
    claim = f"""
    UPDATE {{jobs}}
    SET reserved_at = :now, reserved_until = :until, receipt = :receipt, attempts = attempts + 1
    WHERE seq IN (
        SELECT seq FROM {{jobs}}
        WHERE {_WAITING} AND priority = :level AND available_at <= :now
        ORDER BY priority DESC, available_at, seq LIMIT :limit)
    RETURNING {COLUMNS}, seq"""
    ack = f"DELETE FROM {{jobs}} {_HELD_SEQS} RETURNING id, receipt"
    # What was put back keeps its receipt, so that it can be returned; without reserved_at it proves nothing.
    put_back = f"""
    UPDATE {{jobs}}
    SET available_at = :now + json_extract(batch.value, '$[2]'),
        attempts = attempts - json_extract(batch.value, '$[3]'),
        reserved_at = NULL, reserved_until = NULL {_HELD}
    RETURNING id, receipt"""
    extend = f"UPDATE {{jobs}} SET reserved_until = :until {_HELD} RETURNING id, receipt"
    bury = f"DELETE FROM {{jobs}} {_HELD_SEQS} RETURNING {COLUMNS}, receipt"
