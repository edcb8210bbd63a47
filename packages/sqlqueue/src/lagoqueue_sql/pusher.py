"""`Pusher`: pushes on the queue's thread, and what follows a push: counting it, and waking who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from lagoqueue.errors import DuplicateJob, LagoqueueError
from lagoqueue.job import Job
from lagoqueue_sql.chores import QueueChores
from lagoqueue_sql.database import Database, Mode, Trouble
from lagoqueue_sql.link import Link
from lagoqueue_sql.outlook import Arrival
from lagoqueue_sql.push import push_many
from lagoqueue_sql.rows import to_micros
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store

TOGETHER = 1000
"""Jobs that are stored together at most."""

BYTES_TOGETHER = 1_000_000
"""Bytes of payload after which the next job goes with the next ones."""

Arrived = Callable[[Iterable[Arrival], bool], object]
"""Told what was pushed, and whether other processes were woken already."""


class Push(NamedTuple):
    """A job that is pushed by itself: the values to insert, and whether its id may be live."""

    row: dict[str, Any]
    exist_ok: bool


class Pusher:
    """Pushes for one queue object, always in the same thread.

    Args:
        database: Whose statements these are.
        sql: The statements.
        now: The caller's time in microseconds, for stores without a clock.
        chores: Told what to count, and asked when other processes are to be woken.
        arrived: Told of what was pushed.
    """

    def __init__(
        self, database: Database, sql: Statements, now: Callable[[], int], chores: QueueChores, arrived: Arrived
    ) -> None:
        self._database = database
        self._sql = sql
        self._sql_that_wakes = replace(sql, push=chores.waking(sql.push))
        self._now = now
        self._chores = chores
        self._arrived = arrived

    # --- Several jobs, all or none --------------------------------------------------------------------

    def push_many(self, store: Store, jobs: Sequence[Job], delay: int | None, exist_ok: bool) -> int:
        """Insert jobs, all or none, and return how many were new.

        Raises:
            DuplicateJob: An id is live or comes twice, and `exist_ok` was not given.
        """

        def insert(link: Link) -> int:
            return push_many(self._database, link, self._sql, jobs, delay, self._now(), exist_ok=exist_ok)

        # failpoint: before_push_many
        stored = store.run(insert, self._database.push_mode)
        # failpoint: after_push_many
        self._chores.counts.pushed(job.queue for job in jobs[:stored])
        timed = delay is None
        levels = {(job.queue, job.priority, job.available_at if timed else None) for job in jobs}
        self._arrived(
            (Arrival(queue, each, None if at is None else to_micros(at), delay or 0) for queue, each, at in levels),
            False,
        )
        return stored

    # --- Jobs that were pushed one by one ---------------------------------------------------------------

    def push_together(self, store: Store, pushes: Sequence[Push]) -> list[bool | Exception]:
        """Insert what several callers push at the same time; return for each whether it was new, or its error."""
        outcomes: list[bool | Exception] = []
        # failpoint: before_push
        for portion in _portions(pushes):
            outcomes += [self._push_one(store, *portion)] if len(portion) == 1 else self._push_each(store, portion)
        # failpoint: after_push
        return outcomes

    def _push_one(self, store: Store, push: Push) -> bool | Exception:
        row = push.row
        row["now"] = self._now()
        wakes = self._chores.wakes_now()
        sql = self._sql_that_wakes if wakes else self._sql
        try:
            new = store.run(lambda link: self._database.push(link, sql, [row]), Mode.SINGLE) == 1
        except Exception as error:  # whatever it is, it is this caller's alone
            return error
        if new:
            self._chores.counts.pushed((row["queue"],))
        self._arrived((_arrival(row),), wakes and new)
        return _outcome(push, new)

    def _push_each(self, store: Store, pushes: Sequence[Push]) -> list[bool | Exception]:
        now = self._now()
        rows: list[dict[str, Any]] = [{**push.row, "now": now} for push in pushes]
        try:
            new = store.run(lambda link: self._database.push_each(link, self._sql, rows), self._database.push_mode)
        except Exception as error:
            if self._is_refused(error):  # one of them may be to blame, so each tries alone
                return [self._push_one(store, push) for push in pushes]
            return [error] * len(pushes)
        self._chores.counts.pushed(row["queue"] for row, stored in zip(rows, new, strict=True) if stored)
        self._arrived({_arrival(row) for row in rows}, False)
        return [_outcome(push, stored) for push, stored in zip(pushes, new, strict=True)]

    def _is_refused(self, error: Exception) -> bool:
        """Tell whether what was pushed is to blame, rather than that the database could not be reached."""
        if not isinstance(error, LagoqueueError):
            return True
        cause = error.__cause__
        return isinstance(cause, self._database.errors) and self._database.trouble(cause) is Trouble.REFUSED


def _arrival(row: dict[str, Any]) -> Arrival:
    return Arrival(row["queue"], row["priority"], row["available_at"], row["delay"])


def _outcome(push: Push, new: bool) -> bool | Exception:
    return new if new or push.exist_ok else DuplicateJob(push.row["id"])


def _portions(pushes: Sequence[Push]) -> Iterator[Sequence[Push]]:
    """Cut what came at the same time into what one statement should carry."""
    begin, size = 0, 0
    for place, push in enumerate(pushes):
        size += len(push.row["payload"])
        if place > begin and (place - begin == TOGETHER or size > BYTES_TOGETHER):
            yield pushes[begin:place]
            begin, size = place, len(push.row["payload"])
    yield pushes[begin:]
