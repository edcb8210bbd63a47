"""The statements that MySQL and MariaDB spell in their own way.

Neither returns what an UPDATE changed. Where others have RETURNING, there are two statements here with a
semicolon between them, for one transaction: the first locks rows and returns them, the second changes those.

The index is named wherever it matters. The server plans by what it counted some seconds ago, and a table
that was empty then is scanned whole, though it has had a thousand jobs since.
"""

# ruff: noqa: S608 - only the checked and quoted names of `Schema` are put into these

from __future__ import annotations

from lagoqueue_sql.statements import COLUMNS, JOB_VALUES
from lagoqueue_sql.statements_counting import Upsert, count_history, count_total

_BY_SEQ = "{jobs} FORCE INDEX (PRIMARY)"
_HELD = "seq IN :seqs AND receipt IN :receipts AND id IN :ids AND reserved_at IS NOT NULL"
_LOCK = f"SELECT id, seq, receipt FROM {_BY_SEQ} WHERE {_HELD} FOR UPDATE"
_DELETE = f"DELETE {{jobs}} FROM {_BY_SEQ} WHERE {_HELD}"

# What was let go has no receipt, so that `outcome` tells it from what was put back.
_LET_GO = f"UPDATE {_BY_SEQ} SET reserved_at = NULL, reserved_until = NULL, receipt = NULL WHERE seq IN :seqs"


_UPSERT = Upsert("", "ON DUPLICATE KEY UPDATE", "NAME", "VALUES(NAME)")
"""MariaDB has no other word for the new row than VALUES."""


class MySQLStatements:
    """See `lagoqueue_sql.statements.Statements` for what each is for."""

    # The difference of two instants without a time zone, so that the session's does not matter.
    now: str | None = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"

    # What else IGNORE would let pass was checked before: `Job` and `Schema` agree on lengths and ranges.
    push = f"INSERT IGNORE INTO {{jobs}} ({COLUMNS}) VALUES;({JOB_VALUES})"

    push_many = push_each = push  # one statement too: the part behind the semicolon is written once for each job

    # The lowest priority above another: one seek. A subquery that depends on its outer row would read
    # all that wait under the label, and max() needs an index in descending order, which not all have.
    look = """
    SELECT head.priority, head.available_at, {now}
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT priority, available_at FROM {jobs} FORCE INDEX ({waiting})
        WHERE queue = :queue AND reserved_at IS NULL AND priority > :above
        ORDER BY priority, available_at LIMIT 1) AS head ON TRUE"""
    claim = f"""
    SELECT {COLUMNS.replace("attempts", "attempts + 1")}, seq, {{now}} FROM {{jobs}} FORCE INDEX ({{waiting}})
    WHERE queue = :queue AND reserved_at IS NULL AND priority = :priority
      AND (available_at = :floor AND seq >= :floor_seq OR available_at > :floor AND available_at <= {{now}})
    ORDER BY available_at, seq LIMIT :limit FOR UPDATE SKIP LOCKED;
    UPDATE {_BY_SEQ}
    SET reserved_at = {{now}}, reserved_until = {{now}} + :timeout, receipt = :receipt, worker = :worker,
        attempts = attempts + 1
    WHERE seq IN :seqs"""
    turn = ""  # `ack` and `claim`, one after the other
    reclaim = f"""
    SELECT seq, queue, priority, available_at FROM {{jobs}} FORCE INDEX ({{reserved}})
    WHERE reserved_at IS NOT NULL AND reserved_until > :since AND reserved_until <= {{now}} FOR UPDATE SKIP LOCKED;
    {_LET_GO}"""

    # The last part is for several that are held in all likelihood: its count says so, and nothing is read first.
    ack = f"{_LOCK};{_DELETE};{_DELETE} AND (seq, receipt, id) IN :keys"
    # What was put back keeps its receipt, so that it can be returned; without reserved_at it proves nothing.
    put_back = f"""{_LOCK};
    UPDATE JSON_TABLE(:batch, '$[*]' COLUMNS (s BIGINT PATH '$.s', d BIGINT PATH '$.d', b INT PATH '$.b')) AS batch
    STRAIGHT_JOIN {_BY_SEQ} ON seq = batch.s
    SET available_at = {{now}} + batch.d, attempts = attempts - batch.b, reserved_at = NULL, reserved_until = NULL
    WHERE {_HELD}"""
    extend = f"{_LOCK};UPDATE {_BY_SEQ} SET reserved_until = {{now}} + :timeout WHERE {_HELD}"
    bury = f"{_LOCK.replace('receipt FROM', f'receipt, {COLUMNS} FROM')};{_DELETE}"

    enrol = """
    INSERT INTO {workers} (id, jobs_table, host, pid, queues, concurrency, started_at, beaten_at)
    VALUES (:id, :jobs_table, :host, :pid, :queues, :concurrency, {now}, {now})
    ON DUPLICATE KEY UPDATE beaten_at = VALUES(beaten_at)"""
    # The index holds NULL for what waits, so the range is of what is reserved.
    release_orphans = f"""
    SELECT seq, queue, priority, available_at FROM {{jobs}} FORCE INDEX ({{reserved}})
    WHERE reserved_until > 0 AND worker = :id FOR UPDATE SKIP LOCKED;
    {_LET_GO}"""
    count_total = count_total(_UPSERT)
    count_history = count_history(_UPSERT, "DIV")
