"""The statements of those who look, on MySQL and MariaDB; see `lagoqueue_sql.statements_looking`.

A GROUP BY over the first columns of an index takes one seek for each group there. The groups of
reservations, one for each claim, are passed over as well.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from lagoqueue_sql.statements import COLUMNS
from lagoqueue_sql.statements_looking import Looking


class MySQLLooking(Looking):
    """What MySQL and MariaDB spell in their own way."""

    hint = " FORCE INDEX ({})"
    lock = " FOR UPDATE"

    levels = """
    SELECT queue, priority, first
    FROM (SELECT queue, reserved_at, priority, min(available_at) AS first
          FROM {jobs_by_waiting} GROUP BY queue, reserved_at, priority) AS level
    WHERE reserved_at IS NULL AND (queue = :queue AND priority < :priority OR queue > :queue AND :one = 0)
    ORDER BY queue, priority DESC LIMIT :limit"""

    failed_labels = "SELECT queue, min(seq) AS first FROM {failed_by_queue} GROUP BY queue ORDER BY queue LIMIT :limit"

    requeue = (
        f"INSERT IGNORE INTO {{jobs}} ({COLUMNS}) SELECT id, name, payload, 0, :now, queue, priority, headers"
        " FROM {failed_jobs} WHERE seq IN (SEQS) ORDER BY seq"
    )
