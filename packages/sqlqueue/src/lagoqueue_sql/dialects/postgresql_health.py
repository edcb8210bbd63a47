"""What can go wrong in PostgreSQL: dead rows, and whoever keeps vacuum from removing them.

A user without pg_read_all_stats sees that others' transactions hold the horizon, but not since when.
"""

# ruff: noqa: S608 - what is put into a remedy is for people to read, and nothing runs it

from __future__ import annotations

from typing import NamedTuple

from lagoqueue.monitor import HealthCheck
from lagoqueue_sql.health import OPEN_LONG, OPEN_TOO_LONG, Check, spoken
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements_looking import LookingStatements

DEAD, TOO_DEAD = 50_000, 1_000_000
"""Dead rows, where they are also more than the live ones."""

BUSY, AWAY = 500_000, 120.0
"""As many dead rows are no trouble while vacuum comes every so many seconds: some thousand jobs a second leave them."""

BEHIND = 1_000_000
"""Transactions since which the horizon has stood still, where it is not known for how long."""

# --- Dead rows ----------------------------------------------------------------------------------------

_DEAD_ROWS = """
    SELECT n_live_tup, n_dead_tup,
           CAST(EXTRACT(EPOCH FROM clock_timestamp() - GREATEST(last_vacuum, last_autovacuum)) AS double precision)
    FROM pg_stat_user_tables WHERE relid = CAST('{jobs}' AS regclass)"""


def _dead_rows(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    rows = link.rows(sql.write(_DEAD_ROWS), {})
    return dead_rows_of(*rows[0]) if rows else dead_rows_of(0, 0, None)


def dead_rows_of(live: int, dead: int, vacuumed: float | None) -> HealthCheck:
    """Return the verdict on the rows of the jobs' table and the seconds since it was vacuumed."""
    came = "vacuum has not come yet" if vacuumed is None else f"vacuum last came {spoken(vacuumed)} ago"
    finding = f"The table of jobs has {live:,} live rows and {dead:,} dead ones; {came}."
    comes = vacuumed is not None and vacuumed <= AWAY
    if dead < live or dead < (BUSY if comes else DEAD):
        return HealthCheck(DEAD_ROWS.name, "good", finding)
    remedy = (
        "See below whether a transaction, a prepared one or a replication slot keeps vacuum from removing them. "
        "If none does, run VACUUM on the table, and see that autovacuum is on and keeps up."
    )
    return HealthCheck(DEAD_ROWS.name, "warn" if dead < TOO_DEAD else "bad", finding, remedy)


DEAD_ROWS = Check("Dead rows", _dead_rows)

# --- Transactions -------------------------------------------------------------------------------------

# Of other databases only what serves a standby counts, and that has no database.
_HOLDER = """
    SELECT pid, application_name, usename, state, backend_type,
           CAST(EXTRACT(EPOCH FROM clock_timestamp() - xact_start) AS double precision),
           GREATEST(age(backend_xmin), age(backend_xid)) AS behind
    FROM pg_stat_activity
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
      AND (datname = current_database() OR datname IS NULL) AND backend_type IS DISTINCT FROM 'autovacuum worker'
    ORDER BY behind DESC, xact_start LIMIT 1"""


class Holder(NamedTuple):
    """The session whose transaction holds the horizon; what this user may not see is None."""

    pid: int
    application: str | None
    user: str | None
    state: str | None
    kind: str | None
    seconds: float | None
    behind: int


def _oldest_transaction(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    rows = link.rows(sql.write(_HOLDER), {})
    return holder_of(Holder(*rows[0]) if rows else None)


def holder_of(holder: Holder | None) -> HealthCheck:
    """Return the verdict on the session that holds the horizon, if there is one."""
    name = OLDEST_TRANSACTION.name
    if holder is None:
        return HealthCheck(name, "good", "No transaction keeps vacuum from removing dead rows.")
    who = ", ".join(
        filter(None, (f"pid {holder.pid}", holder.application, holder.user and f"user {holder.user}", holder.state))
    )
    since = f"the last {holder.behind:,} transactions"
    if holder.kind == "walsender":
        return HealthCheck(
            name,
            "good" if holder.behind < BEHIND else "warn",
            f"A standby ({who}) still reads what {since} have removed, so vacuum keeps it.",
            "" if holder.behind < BEHIND else "End the long queries there, or turn hot_standby_feedback off on it.",
        )
    if holder.seconds is None:
        return HealthCheck(
            name,
            "good" if holder.behind < BEHIND else "warn",
            f"The oldest transaction ({who}) keeps what {since} have removed; since when it is open, this user may not see.",
            ""
            if holder.behind < BEHIND
            else "Grant this user pg_read_all_stats to see more, and end that transaction.",
        )
    if holder.seconds < OPEN_LONG:
        return HealthCheck(name, "good", f"The oldest transaction ({who}) has been open for {spoken(holder.seconds)}.")
    return HealthCheck(
        name,
        "warn" if holder.seconds < OPEN_TOO_LONG else "bad",
        f"A transaction ({who}) has been open for {spoken(holder.seconds)}, "
        "and no row that was deleted since can be removed.",
        f"Commit it or roll it back; SELECT pg_terminate_backend({holder.pid}) ends its session. "
        "idle_in_transaction_session_timeout keeps forgotten ones from lasting.",
    )


OLDEST_TRANSACTION = Check("Oldest transaction", _oldest_transaction)

_PREPARED = """
    SELECT gid, owner, CAST(EXTRACT(EPOCH FROM clock_timestamp() - prepared) AS double precision)
    FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 1"""


def _prepared(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    name = PREPARED.name
    rows = link.rows(sql.write(_PREPARED), {})
    if not rows:
        return HealthCheck(name, "good", "No transaction is prepared for a two-phase commit.")
    gid, owner, seconds = rows[0]
    finding = f"The prepared transaction {gid!r} of user {owner} has been waiting for its commit for {spoken(seconds)}"
    if seconds < OPEN_LONG:
        return HealthCheck(name, "good", f"{finding}.")
    literal = "'" + gid.replace("'", "''") + "'"
    return HealthCheck(
        name,
        "warn" if seconds < OPEN_TOO_LONG else "bad",
        f"{finding}, and no row that was deleted since can be removed.",
        f"If its transaction manager has forgotten it, run COMMIT PREPARED {literal} or ROLLBACK PREPARED {literal}.",
    )


PREPARED = Check("Prepared transactions", _prepared)

# --- Replication slots --------------------------------------------------------------------------------

_SLOT = """
    SELECT slot_name, active, age(xmin) FROM pg_replication_slots
    WHERE xmin IS NOT NULL ORDER BY age(xmin) DESC LIMIT 1"""


def _slots(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    rows = link.rows(sql.write(_SLOT), {})
    return slot_of(*rows[0]) if rows else slot_of(None, True, 0)


def slot_of(slot: str | None, active: bool, behind: int) -> HealthCheck:
    """Return the verdict on the replication slot that holds most back, if one does."""
    name = SLOTS.name
    if slot is None:
        return HealthCheck(name, "good", "No replication slot keeps vacuum from removing dead rows.")
    used = "is in use" if active else "is not in use"
    finding = f"Replication slot {slot!r} {used} and keeps what the last {behind:,} transactions have removed."
    if active and behind < BEHIND:
        return HealthCheck(name, "good", finding)
    return HealthCheck(
        name,
        "bad" if behind >= BEHIND and not active else "warn",
        finding,
        "End the long queries on its standby."
        if active
        else f"Start its standby, or remove the slot: SELECT pg_drop_replication_slot('{slot}').",
    )


SLOTS = Check("Replication slots", _slots)

CHECKS = (DEAD_ROWS, OLDEST_TRANSACTION, PREPARED, SLOTS)
