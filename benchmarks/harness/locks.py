"""`Locks`: what PostgreSQL's sessions wait for, by looking at `pg_stat_activity` again and again."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import psycopg

EVERY = 0.02
LOOK = """
    SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FILTER (WHERE wait_event_type = 'LWLock')
    FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()"""


class Locks:
    """Counts what the sessions of a database that are at work wait for."""

    def __init__(self, dsn: str) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
        self._counts = [0, 0, 0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def look(self) -> None:
        """Look once, and wait a little."""
        row = self._connection.execute(LOOK).fetchone()
        assert row is not None
        self._counts = [before + now for before, now in zip(self._counts, row, strict=True)]
        time.sleep(EVERY)

    def shares(self) -> dict[str, float]:
        """Return for which share of their time, in percent, sessions at work waited for locks, of rows and of pages."""
        active, locks, lightweight = self._counts
        return {
            "lock_percent": 100 * locks / active if active else 0.0,
            "lwlock_percent": 100 * lightweight / active if active else 0.0,
        }
