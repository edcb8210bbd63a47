"""The least that SQLite must do for a job, on sqlite3 called directly: no thread, no event loop, WAL.

No name, attempts, headers, priorities, receipts, expiry or failed jobs; nothing is decoded and no handler is called.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from harness.script import Settings, clock, main

PAYLOAD = b'{"user_id":42}'
SCHEMA = (
    (
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, queue TEXT NOT NULL, payload BLOB NOT NULL,"
        " available_at INTEGER NOT NULL, reserved_at INTEGER)"
    ),
    "CREATE INDEX waiting ON jobs (queue, available_at, id) WHERE reserved_at IS NULL",
)
INSERT = "INSERT INTO jobs (queue, payload, available_at) VALUES ('default', ?, 1)"
CLAIM = """
    UPDATE jobs SET reserved_at = 2 WHERE id IN (SELECT id FROM jobs WHERE queue = 'default' AND reserved_at IS NULL
    AND available_at <= 2 ORDER BY available_at, id LIMIT ?) RETURNING id, payload"""
ACK = "DELETE FROM jobs WHERE id = ?"


def connect(settings: Settings) -> sqlite3.Connection:
    connection = sqlite3.connect(settings["file"], isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {settings['synchronous']}")
    for statement in SCHEMA:
        connection.execute(statement)
    return connection


def enqueue_one(settings: Settings) -> Any:
    """A transaction for each job."""
    connection = connect(settings)
    start = clock()
    for _ in range(settings["jobs"]):
        connection.execute(INSERT, (PAYLOAD,))
    return {"jobs": settings["jobs"], "seconds": clock() - start}


def enqueue_bulk(settings: Settings) -> Any:
    """A transaction for each 1,000 jobs."""
    connection = connect(settings)
    start = clock()
    for _ in range(settings["jobs"] // 1_000):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, [(PAYLOAD,)] * 1_000)
        connection.execute("COMMIT")
    return {"jobs": settings["jobs"], "seconds": clock() - start}


def drain(settings: Settings) -> Any:
    """Delete the last k and claim the next in one transaction, or claim and delete in one each; from the first claim on."""
    connection = connect(settings)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT, [(PAYLOAD,)] * settings["jobs"])
    connection.execute("COMMIT")
    limit = (settings["k"],)
    one = settings["variant"] == "one"
    done: list[tuple[int]] = []
    start = clock()
    while True:
        connection.execute("BEGIN IMMEDIATE")
        if one:
            connection.executemany(ACK, done)
        rows = connection.execute(CLAIM, limit).fetchall()
        connection.execute("COMMIT")
        if not rows:
            return {"jobs": settings["jobs"], "seconds": clock() - start}
        done = [(id,) for id, _ in rows]
        if not one:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(ACK, done)
            connection.execute("COMMIT")


if __name__ == "__main__":
    main(enqueue_one, enqueue_bulk, drain)
