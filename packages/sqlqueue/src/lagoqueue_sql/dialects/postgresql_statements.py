"""The statements that PostgreSQL spells in its own way; those over a batch unfold one JSON parameter.

JSON is as quick as arrays here, and every driver can pass a text.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from lagoqueue_sql.statements import COLUMNS, JOB_VALUES
from lagoqueue_sql.statements_counting import ON_CONFLICT, count_history, count_total

_BATCH = """
    WITH batch AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:batch AS json)) AS each(i text, s bigint, r text, d bigint, b integer))"""
_HELD = """
    {jobs}.id = ANY(ARRAY(SELECT i FROM batch)) AND reserved_until IS NOT NULL
      AND (({jobs}.id, {jobs}.seq, {jobs}.receipt) IN (SELECT i, s, r FROM batch)) IS TRUE"""
"""The rows of the batch whose reservation still holds: found by key, then compared by way of a hash table.

Not by a join, which `IS TRUE` keeps the planner from: one that planned while it knew of no reserved job expects
a single row here, and would then compare each of several hundred with each of the batch.
"""

_JOB = (
    "id text, name text, payload text, attempts integer, available_at bigint, delay bigint,"
    " queue text, priority integer, headers text"
)


# The lateral part runs for one level after another, and stops once the outer limit is reached: what is
# not returned is not locked. Its array is computed once, before the update, which finds the rows where they lie:
# they are locked, so they stay there. One that changed just before it was locked is not found, and left to the next
# claim, as if its lock had still been held. The time is a query of its own so that it is not computed for each row.
_CLAIM = f"""
    UPDATE {{jobs}} SET reserved_at = (SELECT {{now}}), reserved_until = (SELECT {{now}}) + CAST(:timeout AS bigint),
           receipt = :receipt, worker = :worker, attempts = attempts + 1
    WHERE ctid = ANY(ARRAY(
        SELECT due.ctid FROM json_to_recordset(CAST(:levels AS json)) AS level(q text, p integer, f bigint, s bigint)
        CROSS JOIN LATERAL (
            SELECT ctid FROM {{jobs}}
            WHERE queue = level.q AND priority = level.p AND reserved_at IS NULL
              AND (available_at, seq) >= (level.f, level.s) AND available_at <= {{now}}
            ORDER BY available_at, seq LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED) AS due
        LIMIT CAST(:limit AS integer)))
    RETURNING {COLUMNS}, seq, reserved_at"""


class PostgreSQLStatements:
    """See `lagoqueue_sql.statements.Statements` for what each is for."""

    # Stable within a statement, so that an index can be searched for it; the transaction's own time would stand still.
    now: str | None = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS bigint)"

    push = f"INSERT INTO {{jobs}} ({COLUMNS}) VALUES ({JOB_VALUES}) ON CONFLICT (id) DO NOTHING"
    push_many = f"COPY {{jobs}} ({COLUMNS}) FROM STDIN"  # faster than the next one
    # Of a JSON array of jobs, payloads in base64.
    push_each = f"""
    INSERT INTO {{jobs}} ({COLUMNS})
    SELECT id, name, decode(payload, 'base64'), attempts, COALESCE(available_at, {{now}} + delay), queue, priority,
           headers
    FROM ROWS FROM (json_to_recordset(CAST(:batch AS json)) AS ({_JOB})) WITH ORDINALITY
         AS batch(id, name, payload, attempts, available_at, delay, queue, priority, headers, place)
    ORDER BY place
    ON CONFLICT (id) DO NOTHING RETURNING id"""

    # The first job of each priority, one seek in the index for each. The limit is the number of labels, so
    # that the planner does not expect a hundred of them and think that compiling the plan would pay.
    look = """
    WITH RECURSIVE level(queue, priority, first) AS (
        SELECT label.q, head.priority, head.available_at
        FROM (
            SELECT q FROM json_to_recordset(CAST(:batch AS json)) AS each(q text) LIMIT CAST(:limit AS integer)
        ) AS label LEFT JOIN LATERAL (
            SELECT priority, available_at FROM {jobs} WHERE queue = label.q AND reserved_at IS NULL
            ORDER BY priority DESC, available_at, seq LIMIT 1) AS head ON true
        UNION ALL
        SELECT level.queue, next.priority, next.available_at
        FROM level LEFT JOIN LATERAL (
            SELECT priority, available_at FROM {jobs}
            WHERE queue = level.queue AND priority < level.priority AND reserved_at IS NULL
            ORDER BY priority DESC, available_at, seq LIMIT 1) AS next ON true
        WHERE level.priority IS NOT NULL
    )
    SELECT queue, priority, first, {now} FROM level"""
    claim = _CLAIM
    # Both at once, in one round trip and one commit. Rows without attempts tell of the acks: none when as many as
    # were `:expected` held; else one row for each that held, and one more so that it shows.
    turn = f"""{_BATCH},
    acked AS (DELETE FROM {{jobs}} WHERE {_HELD} RETURNING id, seq, receipt),
    claimed AS ({_CLAIM})
    SELECT {COLUMNS}, seq, reserved_at FROM claimed
    UNION ALL SELECT id, receipt, NULL, NULL, NULL, NULL, NULL, NULL, seq, NULL
    FROM (SELECT id, receipt, seq FROM acked UNION ALL SELECT NULL, NULL, NULL) AS told
    WHERE (SELECT count(*) FROM acked) <> CAST(:expected AS bigint)"""
    # What was let go has no receipt, so that `outcome` tells it from what was put back.
    reclaim = """
    UPDATE {jobs} SET reserved_at = NULL, reserved_until = NULL, receipt = NULL
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {jobs}
        WHERE reserved_at IS NOT NULL AND reserved_until > CAST(:since AS bigint) AND reserved_until <= {now}
        FOR UPDATE SKIP LOCKED))
    RETURNING queue, priority, available_at"""

    ack = f"{_BATCH} DELETE FROM {{jobs}} WHERE {_HELD} RETURNING id, seq, receipt"
    # What was put back keeps its receipt, so that it can be returned; without reserved_at it proves nothing.
    # Delay and attempts to take back are looked up by id, since a join might compare each row with each of the batch.
    put_back = f"""{_BATCH},
    changes AS MATERIALIZED (SELECT jsonb_object_agg(i, jsonb_build_array(d, b)) AS of FROM batch)
    UPDATE {{jobs}} SET available_at = {{now}} + CAST((SELECT of FROM changes) -> id ->> 0 AS bigint),
           attempts = attempts - CAST((SELECT of FROM changes) -> id ->> 1 AS integer),
           reserved_at = NULL, reserved_until = NULL
    WHERE {_HELD} RETURNING id, seq, receipt"""
    extend = f"""{_BATCH}
    UPDATE {{jobs}} SET reserved_until = {{now}} + CAST(:timeout AS bigint)
    WHERE {_HELD} RETURNING id, seq, receipt"""
    bury = f"{_BATCH} DELETE FROM {{jobs}} WHERE {_HELD} RETURNING id, seq, receipt, {COLUMNS}"

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
