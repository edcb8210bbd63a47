"""`Ear`: hears what other processes' pushes notify, on a connection of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lagoqueue_sql.dialects.postgresql import Connection, PostgreSQL

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each try to connect again; the last one from then on."""

PROBE = 5.0
"""Seconds of silence after which the connection is asked whether it still is one."""

WARN_EVERY = 5.0
"""Seconds between two warnings; what fails in between is logged for debugging."""

_log = logging.getLogger("lagoqueue.sql")


class Ear:
    """Calls `heard` for each notification, from a daemon thread; connects again whenever it must.

    Waiting pops look by themselves now and then, so without it they are later, and miss nothing.
    """

    def __init__(self, database: PostgreSQL, listen: str, heard: Callable[[], object]) -> None:
        self._database = database
        self._listen = listen
        self._heard = heard
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._failures = 0
        self._warn_from = 0.0
        threading.Thread(target=self._run, name="lagoqueue-sql ear", daemon=True).start()

    def stop(self) -> None:
        """End the thread soon. Does not wait."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            connection.deadline = 0.0

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hear()
            except Exception as error:
                if self._stopping.is_set():
                    return
                pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
                self._failures += 1
                self._tell(pause, error)
                self._stopping.wait(pause)

    def _tell(self, pause: float, error: Exception) -> None:
        if isinstance(error, self._database.errors):
            error = self._database.translate(error)
        level = logging.DEBUG
        if (now := time.monotonic()) >= self._warn_from:
            self._warn_from = now + WARN_EVERY
            level = logging.WARNING
        _log.log(level, "not listening for %g s, polling instead: %s", pause, error)

    def _hear(self) -> None:
        """Listen until the connection fails, or for as long as it lives."""
        connection = self._database.connect()
        self._connection = connection
        try:
            connection.execute(self._listen.encode())
            self._failures = 0
            self._heard()  # what was pushed meanwhile told nobody
            while not self._stopping.is_set():
                connection.deadline = time.monotonic() + 2 * PROBE
                heard = False
                for _ in connection.notifies(timeout=PROBE, stop_after=1):
                    heard = True
                if heard:
                    self._heard()
                else:
                    connection.execute("SELECT 1")
        finally:
            self._connection = None
            connection.deadline = 0.0
            connection.close()
