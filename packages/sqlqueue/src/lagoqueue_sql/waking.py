"""How processes wake each other on PostgreSQL: the channel, and when to listen to it."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from lagoqueue_sql.connecting import Wakeup
from lagoqueue_sql.database import Database
from lagoqueue_sql.waiting import Bell


class Channel(NamedTuple):
    """How to listen to a channel and notify it; one channel for each table of jobs."""

    name: str

    @property
    def listen(self) -> str:
        return f'LISTEN "{self.name}"'

    @property
    def notify(self) -> str:
        return f'NOTIFY "{self.name}"'

    def notifying(self, insert: str) -> str:
        """Return an INSERT of one row that notifies as well, and whose count is that of the rows inserted."""
        return f"WITH stored AS ({insert} RETURNING 1) SELECT pg_notify('{self.name}', '') FROM stored"  # noqa: S608


def channel(database: Database, table: str, wakeup: Wakeup | None) -> Channel | None:
    """Return the channel of a table; None where processes find out by polling."""
    if database.dialect.name != "postgresql" or wakeup == "poll":
        return None
    return Channel(f"lagoqueue_{table}")  # a name that `Schema` has checked


class LazyEar:
    """Listens from the first pop that waits on: a process that only pushes needs no second connection."""

    def __init__(self, database: Database, channel: Channel | None, bell: Bell) -> None:
        self._database = database
        self._channel = channel
        self._bell = bell
        self._lock = threading.Lock()
        self._pid = 0
        self._stopped = False
        self._ear: object = None

    def open(self) -> None:
        """Listen from now on, in this process."""
        if self._channel is None or self._pid == os.getpid():
            return
        from lagoqueue_sql.dialects.postgresql import PostgreSQL
        from lagoqueue_sql.listening import Ear

        assert isinstance(self._database, PostgreSQL)
        with self._lock:
            if self._pid != os.getpid() and not self._stopped:
                self._ear = Ear(self._database, self._channel.listen, self._bell.ring)
                self._pid = os.getpid()

    def stop(self) -> None:
        """Listen no more."""
        with self._lock:
            self._stopped = True
            ear, self._ear = self._ear, None
        if ear is not None:
            ear.stop()  # type: ignore[attr-defined]
