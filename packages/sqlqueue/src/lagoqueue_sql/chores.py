"""`QueueChores`: what a queue's thread does beside its calls, a little later and in bulk.

Counting and notifying are not worth a statement for every job. A NOTIFY in each push would take a
lock of the whole server at each commit, which costs sixteen producers more than half of their
throughput; one in 25 ms costs nothing that can be measured, and the first of them goes out at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from lagoqueue.errors import LagoqueueError
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store

NOTIFY_EVERY = 0.025
"""Seconds between two wake-ups that one process sends."""

COUNT_EVERY = 2.0
"""Seconds between two flushes of the counters."""

PRUNE_EVERY = 60.0
"""Seconds between two prunings of the counters' history."""

HISTORY = 3600
"""Seconds of history that are kept."""

FIELDS = ("pushed", "processed", "failed", "retried")

_log = logging.getLogger("lagoqueue.sql")


class QueueChores:
    """Gathers counts and wake-ups from any thread, and writes them from the queue's own.

    Args:
        sql: The statements.
        jobs_table: Under whose name the counters are kept.
        notify: The statement that wakes other processes, or None where nothing does.
        now: The caller's time in microseconds, for stores without a clock.
    """

    def __init__(self, sql: Statements, jobs_table: str, notify: str | None, now: Callable[[], int]) -> None:
        self._sql = sql
        self._jobs_table = jobs_table
        self._notify = notify
        self._now = now
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._count_at: float | None = None
        self._prune_at = 0.0
        self._notify_at: float | None = None
        self._notified_at = 0.0

    # --- From any thread ----------------------------------------------------------------------------

    def count(self, field: str, queues: Iterable[str]) -> None:
        """Count what was done once under each of these labels."""
        place = FIELDS.index(field)
        with self._lock:
            for queue in queues:
                self._counts.setdefault(queue, [0, 0, 0, 0])[place] += 1
            if self._count_at is None and self._counts:
                self._count_at = time.monotonic() + COUNT_EVERY

    def notify(self) -> None:
        """Wake the other processes, soon."""
        if self._notify is not None and self._notify_at is None:
            self._notify_at = self._notified_at + NOTIFY_EVERY

    def reset(self) -> None:
        """Forget it all: in a forked child it is the parent's to write."""
        self._lock = threading.Lock()
        self._counts, self._count_at, self._notify_at = {}, None, None

    # --- In the queue's thread ------------------------------------------------------------------------

    def do(self, store: Store) -> float | None:
        """Do what is due, and return the seconds until something will be."""
        now = time.monotonic()
        if self._notify_at is not None and now >= self._notify_at:
            self._notify_at, self._notified_at = None, now
            self._send(store)
        if self._count_at is not None and now >= self._count_at:
            self._flush(store)
        due = [at for at in (self._notify_at, self._count_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def finish(self, store: Store) -> None:
        """Do all that is left."""
        if self._notify_at is not None:
            self._send(store)
        if self._count_at is not None:
            self._flush(store)

    def _send(self, store: Store) -> None:
        notify = self._notify
        assert notify is not None
        try:
            store.run(lambda link: link.run(notify), Mode.SINGLE)
        except LagoqueueError as error:  # the others will poll
            _log.debug("could not wake other processes: %s", error)

    def _flush(self, store: Store) -> None:
        with self._lock:
            counts, self._counts, self._count_at = self._counts, {}, None
        now = self._now()
        rows = [
            {"jobs_table": self._jobs_table, "queue": queue, **dict(zip(FIELDS, numbers, strict=True)), "now": now}
            for queue, numbers in sorted(counts.items())  # sorted, so that two flushes lock in one order
        ]

        def write(link: Link) -> None:
            link.many(self._sql.count_total, rows)
            link.many(self._sql.count_recent, rows)
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + PRUNE_EVERY
                link.count(self._sql.forget_counts, {"jobs_table": self._jobs_table, "age": HISTORY, "now": now})

        try:
            store.run(write, Mode.ATOMIC)
        except LagoqueueError as error:  # an outcome that is unknown counts as not done: better twice than never
            _log.debug("could not write the counters, trying again: %s", error)
            with self._lock:
                for queue, numbers in counts.items():
                    mine = self._counts.setdefault(queue, [0, 0, 0, 0])
                    mine[:] = map(sum, zip(mine, numbers, strict=True))
                self._count_at = time.monotonic() + COUNT_EVERY
