"""The least that MariaDB must do for a job, on PyMySQL.

No name, attempts, headers, priorities, receipts, expiry or failed jobs; nothing is decoded and no handler is called.
"""

from __future__ import annotations

from typing import Any

import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa

from harness.script import Settings, clock, main

PAYLOAD = b'{"user_id":42}'
SCHEMA = """
    CREATE TABLE jobs (id bigint PRIMARY KEY AUTO_INCREMENT, queue varbinary(100) NOT NULL, payload longblob NOT NULL,
        available_at bigint NOT NULL, reserved_at bigint, KEY waiting (queue, reserved_at, available_at, id)) ENGINE=InnoDB"""
INSERT = "INSERT INTO jobs (queue, payload, available_at) VALUES ('default', %s, 1)"
NEXT = """
    SELECT id, payload FROM jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= 2
    ORDER BY available_at, id LIMIT %s FOR UPDATE SKIP LOCKED"""


def connect(settings: Settings) -> Any:
    url = sa.make_url(settings["dsn"])
    connection = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, database=url.database, autocommit=True
    )
    connection.cursor().execute(SCHEMA)
    return connection


def enqueue_one(settings: Settings) -> Any:
    """A transaction for each job."""
    cursor = connect(settings).cursor()
    start = clock()
    for _ in range(settings["jobs"]):
        cursor.execute(INSERT, [PAYLOAD])
    return {"jobs": settings["jobs"], "seconds": clock() - start}


def drain(settings: Settings) -> Any:
    """Delete the last k and claim the next in one transaction, from the first claim to the last."""
    connection = connect(settings)
    cursor = connection.cursor()
    for begin in range(0, settings["jobs"], 1_000):
        cursor.executemany(INSERT, [[PAYLOAD]] * min(1_000, settings["jobs"] - begin))
    done = ""
    start = clock()
    while True:
        connection.begin()
        if done:
            cursor.execute(f"DELETE FROM jobs WHERE id IN ({done})")
        cursor.execute(NEXT, [settings["k"]])
        rows = cursor.fetchall()
        done = ",".join([str(id) for id, _ in rows])
        if done:
            cursor.execute(f"UPDATE jobs SET reserved_at = 2 WHERE id IN ({done})")
        connection.commit()
        if not rows:
            return {"jobs": settings["jobs"], "seconds": clock() - start}


if __name__ == "__main__":
    main(enqueue_one, drain)
