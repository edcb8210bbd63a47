"""`QueueChores`: what a queue's thread does beside its calls, a little later and in bulk.

Counting and notifying are not worth a statement for every job. A NOTIFY in each push would take a
lock of the whole server at each commit, which costs sixteen producers more than half of their
throughput; one in 25 ms costs nothing that can be measured. The first after a while goes out at once,
in the push's own statement, where it costs neither a round trip nor a commit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from lagoqueue.errors import LagoqueueError
from lagoqueue.monitor.points import KEPT
from lagoqueue.monitor.tally import NAMES
from lagoqueue_sql.counting import Counts, Unwritten
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store
from lagoqueue_sql.waking import Channel

NOTIFY_EVERY = 0.025
"""Seconds between two wake-ups that one process sends."""

COUNT_EVERY = 2.0
"""Seconds between two flushes of the counters."""

PRUNE_EVERY = 60.0
"""Seconds between two prunings of the history."""

_log = logging.getLogger("lagoqueue.sql")


class QueueChores:
    """Gathers counts and wake-ups from any thread, and writes them from the queue's own.

    Args:
        sql: The statements.
        jobs_table: Under whose name the counters are kept.
        channel: Where other processes are woken, or None where nothing wakes them.
        now: The caller's time in microseconds, for stores without a clock.

    Attributes:
        counts: What is to be written.
    """

    def __init__(self, sql: Statements, jobs_table: str, channel: Channel | None, now: Callable[[], int]) -> None:
        self.counts = Counts(now)
        self._sql = sql
        self._jobs_table = jobs_table
        self._channel = channel
        self._now = now
        self._prune_at = 0.0
        self._notify_at: float | None = None
        self._notified_at = 0.0
        self._comes_at = math.inf

    # --- From any thread ----------------------------------------------------------------------------

    def notify(self) -> None:
        """Wake the other processes, soon."""
        if self._channel is not None and self._notify_at is None:
            self._notify_at = self._notified_at + NOTIFY_EVERY

    def comes_late(self) -> bool:
        """Tell whether the thread, unless it is poked, comes after something is due."""
        due = self._due_at()
        return due is not None and due < self._comes_at

    def reset(self) -> None:
        """Forget it all: in a forked child it is the parent's to write."""
        self.counts.reset()
        self._notify_at = None
        self._comes_at = math.inf

    # --- In the queue's thread ------------------------------------------------------------------------

    def waking(self, insert: str) -> str:
        """Return the INSERT of a job as a statement that wakes the other processes too, if the job is new."""
        return insert if self._channel is None else self._channel.notifying(insert)

    def wakes_now(self) -> bool:
        """Tell whether the next push is to wake the other processes by itself, since none did for a while."""
        now = time.monotonic()
        if self._channel is None or self._notify_at is not None or now < self._notified_at + NOTIFY_EVERY:
            return False
        self._notified_at = now
        return True

    def do(self, store: Store) -> float | None:
        """Do what is due, and return the seconds until something will be."""
        self._comes_at = math.inf  # until that is known again, whoever adds something pokes
        now = time.monotonic()
        if self._notify_at is not None and now >= self._notify_at:
            self._notify_at, self._notified_at = None, now
            self._send(store)
        count_at = self._count_at()
        if count_at is not None and now >= count_at:
            self._flush(store)
        due = self._due_at()
        if due is None:
            return None
        self._comes_at = due
        return max(0.0, due - time.monotonic())

    def _due_at(self) -> float | None:
        notify_at, count_at = self._notify_at, self._count_at()
        if notify_at is None or count_at is None:
            return count_at if notify_at is None else notify_at
        return min(notify_at, count_at)

    def _count_at(self) -> float | None:
        since = self.counts.since
        return None if since is None else since + COUNT_EVERY

    def finish(self, store: Store) -> None:
        """Do all that is left."""
        if self._notify_at is not None:
            self._send(store)
        if self.counts.since is not None:
            self._flush(store)

    def _send(self, store: Store) -> None:
        channel = self._channel
        assert channel is not None
        try:
            store.run(lambda link: link.run(channel.notify), Mode.SINGLE)
        except LagoqueueError as error:  # the others will poll
            _log.debug("could not wake other processes: %s", error)

    def _flush(self, store: Store) -> None:
        unwritten = self.counts.take()
        now = self._now()
        rows = self._rows(unwritten, now)

        def write(link: Link) -> None:
            link.many(self._sql.count_total, rows)
            for span in KEPT:
                link.many(self._sql.count_history, [row | {"span": span} for row in rows])
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + PRUNE_EVERY
                for span, kept in KEPT.items():  # and the one that is neither over nor out yet
                    values = {"jobs_table": self._jobs_table, "span": span, "age": kept + span, "now": now}
                    link.count(self._sql.forget_history, values)

        try:
            store.run(write, Mode.ATOMIC)
        except LagoqueueError as error:  # an outcome that is unknown counts as not done: better twice than never
            _log.debug("could not write the counters, trying again: %s", error)
            self.counts.put_back(unwritten)

    def _rows(self, unwritten: Unwritten, now: int) -> list[dict[str, Any]]:
        """Return what to add for each label; sorted, so that two flushes lock in one order.

        When a job was processed is given as how long ago: the store has its own clock.
        """
        rows: list[dict[str, Any]] = []
        for queue, tally in sorted(unwritten.tallies.items()):
            at = unwritten.processed_at.get(queue)
            ago = None if at is None else max(0, now - at)
            rows.append(
                {
                    "jobs_table": self._jobs_table,
                    "queue": queue,
                    **dict(zip(NAMES, tally, strict=True)),
                    "ago": ago,
                    "now": now,
                }
            )
        return rows
