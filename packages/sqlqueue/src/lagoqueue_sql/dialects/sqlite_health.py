"""What can go wrong in SQLite: the journal mode, and a write-ahead log that a reader keeps from being emptied."""

from __future__ import annotations

from pathlib import Path

from lagoqueue.monitor import HealthCheck
from lagoqueue_sql.health import Check
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements_looking import LookingStatements

LARGE, TOO_LARGE = 64_000_000, 1_000_000_000
"""Bytes of the write-ahead log. SQLite empties it at some 4 MB, unless somebody reads all the while."""


def _log(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    name = LOG.name
    mode = link.rows("PRAGMA journal_mode", {})[0][0]
    if mode != "wal":
        return HealthCheck(
            name,
            "bad",
            f"The journal mode is {mode!r}, so whoever writes locks out those who read.",
            "Keep the file on a local disk, and let no other program change the mode; the queue sets it to WAL.",
        )
    file = next(path for _, schema, path in link.rows("PRAGMA database_list", {}) if schema == "main")
    try:
        size = Path(f"{file}-wal").stat().st_size
    except FileNotFoundError:
        size = 0
    finding = f"The write-ahead log holds {size / 1_000_000:,.1f} MB."
    if size < LARGE:
        return HealthCheck(name, "good", finding)
    return HealthCheck(
        name,
        "warn" if size < TOO_LARGE else "bad",
        finding,
        "Every read has to search it. End the programs that keep a read transaction open on the file; "
        "then run PRAGMA wal_checkpoint(TRUNCATE).",
    )


LOG = Check("Write-ahead log", _log)

CHECKS = (LOG,)
