"""SQLite's statements of those who look; see `lagoqueue_sql.statements_looking`."""

from __future__ import annotations

from lagoqueue_sql.statements_looking import Looking


class SQLiteLooking(Looking):
    """What SQLite spells in its own way."""

    # A chain of single seeks: behind a label's last priority comes a row without one, and behind that the next label.
    levels = """
    WITH RECURSIVE level(queue, priority) AS (
        SELECT :queue, :priority
        UNION ALL
        SELECT CASE WHEN priority IS NULL
                    THEN (SELECT min(next.queue) FROM {jobs} AS next
                          WHERE next.queue > level.queue AND next.reserved_at IS NULL)
                    ELSE queue END,
               CASE WHEN priority IS NULL THEN 2147483648
                    ELSE (SELECT max(next.priority) FROM {jobs} AS next
                          WHERE next.queue = level.queue AND next.reserved_at IS NULL
                            AND next.priority < level.priority) END
        FROM level WHERE queue IS NOT NULL AND (priority IS NOT NULL OR :one = 0)
    )
    SELECT queue, priority, (SELECT min(first.available_at) FROM {jobs} AS first
                             WHERE first.queue = level.queue AND first.priority = level.priority
                               AND first.reserved_at IS NULL) AS first
    FROM level WHERE priority <= 2147483647 AND NOT (queue = :queue AND priority = :priority) LIMIT :limit"""

    failed_labels = """
    WITH RECURSIVE label(queue) AS (
        SELECT min(queue) FROM {failed_jobs}
        UNION ALL
        SELECT (SELECT min(next.queue) FROM {failed_jobs} AS next WHERE next.queue > label.queue)
        FROM label WHERE queue IS NOT NULL
    )
    SELECT queue FROM label WHERE queue IS NOT NULL LIMIT :limit"""
