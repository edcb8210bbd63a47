"""`SQLKeeper`: says from the worker's keeper thread that the worker lives, on a connection of its own.

Its row in the workers table is beaten every few seconds. A worker whose row has been silent for
`SILENCE` is dead, or as good as that, and whoever notices first gives back what it had reserved; should
it wake up again, it finds its receipts refused. So orphans come back within seconds, while the
visibility timeout, which bounds what nobody beats for, may be long.

The store's clock alone proves nobody dead, because it may be set while all are well. It tells whom to
suspect, and the rest of the silence is measured by the suspecting worker's own monotonic clock.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from lagoqueue.errors import LagoqueueError
from lagoqueue.job import Job
from lagoqueue.queue import Keeper, WorkerInfo
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.rows import duration
from lagoqueue_sql.settle import extend
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store

BEAT = 3.0
"""Seconds between two beats."""

SILENCE = 12.0
"""Seconds of silence after which a worker counts as dead: three beats missed, and one under way."""

LONGEST_EXTENSION = 60.0
"""Seconds between two extensions of a reservation, or a third of the visibility timeout if that is shorter."""


class SQLKeeper(Keeper):
    """Neither the event loop nor the queue's own thread can hold it up.

    Args:
        store: Its own connection.
        database: Whose that is.
        sql: The statements.
        worker: The worker's id, unique for each start.
        jobs_table: The queue's table.
        info: What else to write about the worker.
        now: The caller's time in microseconds, for stores without a clock.
        visibility_timeout: Seconds for which a reservation is extended.
        freed: Told of the queue, priority and available_at of jobs that dead workers had reserved.
        closed: Told when the worker has drained.
    """

    def __init__(
        self,
        store: Store,
        database: Database,
        sql: Statements,
        worker: str,
        *,
        jobs_table: str,
        info: WorkerInfo | None,
        now: Callable[[], int],
        visibility_timeout: float,
        freed: Callable[[Sequence[Row]], object],
        closed: Callable[[SQLKeeper], object],
    ) -> None:
        self.worker = worker
        self._extend_every = min(visibility_timeout / 3, LONGEST_EXTENSION)
        self.interval = min(self._extend_every, BEAT)
        self._store = store
        self._database = database
        self._sql = sql
        self._jobs_table = jobs_table
        self._info = info
        self._now = now
        self._timeout = duration(visibility_timeout)
        self._freed = freed
        self._closed = closed
        self._extended_at: dict[tuple[str, str | None], float] = {}
        self._suspected_at: dict[tuple[str, int], float] = {}
        self._beaten_at = time.monotonic()
        self._judges_from = self._beaten_at + BEAT

    # --- Beating ------------------------------------------------------------------------------------

    def beat(self, jobs: Sequence[Job]) -> list[Job]:
        now = self._now()
        if self._store.run(lambda link: link.count(self._sql.beat, {"id": self.worker, "now": now}), Mode.SINGLE) == 0:
            self._store.run(self.enrol, Mode.SINGLE)
        self._judge(now)
        return self.extend(self._due(jobs))

    def _judge(self, now: int) -> None:
        """Bury the workers that have been silent for too long.

        One that was silent itself, because the server was away or this machine was suspended, first
        lets the others speak: they may have been cut off just the same.
        """
        before, self._beaten_at = self._beaten_at, time.monotonic()
        if self._beaten_at - before > SILENCE / 2:
            self._judges_from = self._beaten_at + SILENCE
        if self._beaten_at < self._judges_from:
            return
        silent = {"jobs_table": self._jobs_table, "silence": duration(SILENCE / 2), "now": now}
        rows = self._store.run(lambda link: link.rows(self._sql.silent, silent), Mode.READ)
        self._suspected_at = {
            (row[0], row[1]): self._suspected_at.get((row[0], row[1]), self._beaten_at) for row in rows
        }
        for (worker, beaten_at), since in self._suspected_at.items():
            if self._beaten_at - since >= SILENCE / 2:
                self._bury(worker, beaten_at)

    def enrol(self, link: Link) -> None:
        """Enter the worker in the table: at its first claim, or again when others took it for dead."""
        info = self._info or WorkerInfo(queues=(), concurrency=1, name="")
        values = {
            "id": self.worker,
            "jobs_table": self._jobs_table,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": msgspec.json.encode(info.queues).decode(),
            "concurrency": info.concurrency,
            "now": self._now(),
        }
        link.count(self._sql.enrol, values)

    def _bury(self, worker: str, beaten_at: int) -> None:
        """Strike a dead worker off the table and give back what it had reserved: both or neither."""

        def bury(link: Link) -> Sequence[Row]:
            if link.count(self._sql.strike, {"id": worker, "beaten_at": beaten_at}) == 0:
                return ()  # it has beaten again, or another was faster
            # failpoint: inside_strike
            return self._database.release_orphans(link, self._sql, {"id": worker, "now": self._now()})

        self._freed(self._store.run(bury, Mode.ATOMIC))

    # --- Extending ----------------------------------------------------------------------------------

    def _due(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that were not extended for a while; a new one was, by being claimed."""
        now = time.monotonic()
        self._extended_at = {key: self._extended_at.get(key, now) for key in ((job.id, job.receipt) for job in jobs)}
        due = [
            job for job in jobs if now - self._extended_at[job.id, job.receipt] >= self._extend_every - self.interval
        ]
        self._extended_at.update(dict.fromkeys(((job.id, job.receipt) for job in due), now))
        return due

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        if not jobs:
            return []
        return self._store.run(
            lambda link: extend(self._database, link, self._sql, jobs, now=self._now(), timeout=self._timeout),
            Mode.SINGLE,
        )

    def close(self) -> None:
        self._closed(self)
        with suppress(LagoqueueError):  # else the others will notice the silence
            self._store.run(lambda link: link.count(self._sql.leave, {"id": self.worker}), Mode.SINGLE)
        self._store.close()
