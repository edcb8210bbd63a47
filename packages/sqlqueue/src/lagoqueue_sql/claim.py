"""Claiming: reserve due jobs, let expired reservations go, and know when to ask again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import NamedTuple

from lagoqueue._rows import reserved_jobs
from lagoqueue._time import Clock
from lagoqueue.job import Job
from lagoqueue_sql.database import Database
from lagoqueue_sql.link import Link, Row
from lagoqueue_sql.outlook import Arrival, Level, Outlook
from lagoqueue_sql.rows import Key, duration
from lagoqueue_sql.schema import RECEIPT
from lagoqueue_sql.statements import Statements

ATTEMPTS, AVAILABLE_AT, QUEUE, PRIORITY, SEQ, RESERVED_AT = 3, 4, 5, 6, 8, 9
"""Where `claim` returns them: among the columns of a job, and behind those."""

LONGEST_SWEEP = 5.0
"""Seconds between two looks for expired reservations, or a quarter of the visibility timeout if that is shorter."""

FULL_SWEEP = 60.0
"""Seconds between two looks for those that should have been found before: a clock was set back."""

_MARGIN = 2_000_000
"""Microseconds by which a look for expired reservations overlaps with the one before."""


class Claim(NamedTuple):
    """What a claim found; without jobs, `again` is when to ask again, on the clock's monotonic time.

    `looked` when it made sure, with a look of its own. `waits` has the label of each job and the
    microseconds for which it had been due, by the store's clock. `acked` has the reservations that held
    until this claim ended them.
    """

    jobs: list[Job]
    again: float
    looked: bool = False
    waits: Sequence[tuple[str, int]] = ()
    acked: Collection[Key] = ()


class Claimer:
    """Claims for one queue object, always in the same thread.

    Args:
        database: Whose statements these are.
        sql: The statements.
        clock: For waiting.
        now: The caller's time in microseconds, for stores without a clock.
        visibility_timeout: Seconds for which a job is reserved.
    """

    def __init__(
        self, database: Database, sql: Statements, clock: Clock, now: Callable[[], int], visibility_timeout: float
    ) -> None:
        self.outlook = Outlook(clock, database.look_every)
        self._database = database
        self._sql = sql
        self._clock = clock
        self._now = now
        self._timeout = duration(visibility_timeout)
        self._sweep_every = min(LONGEST_SWEEP, visibility_timeout / 4)
        self._next_sweep = clock.monotonic()
        self._next_full_sweep = clock.monotonic()
        self._swept = 0

    def claim(
        self,
        link: Link,
        labels: Sequence[str],
        limit: int,
        *,
        worker: str | None,
        token: str,
        thorough: bool,
        sweep: bool,
        acks: Sequence[Key] = (),
    ) -> Claim:
        """Reserve up to `limit` due jobs in the contract's order.

        Args:
            link: Runs the statements.
            labels: Where to look, in order.
            limit: How many at most.
            worker: Who claims, if a worker does.
            token: The random part of the receipts; new for each call.
            thorough: When nothing is found, make sure that nothing is there.
            sweep: First let expired reservations go.
            acks: Reservations to end: with the same statement where the database can, but before a sweep, so that
                what took longer than its reservation is not done again.
        """
        acked: Collection[Key] = ()
        if sweep:
            if acks:
                acked, acks = self._database.ack(link, self._sql, acks), ()
            self._sweep(link)
        self.hear(link)
        looked = self.outlook.is_stale(labels)
        if looked:
            self.look(link, labels)
        ended, rows = self._reserve(link, labels, limit, worker, token, acks)
        if not rows and ((thorough and not (sweep and looked)) or self._should_look(labels)):
            if thorough:
                self._sweep(link)
            self.look(link, labels)
            _, rows = self._reserve(link, labels, limit, worker, token)
            looked = True
        waits = [(row[QUEUE], row[RESERVED_AT] - row[AVAILABLE_AT]) for row in rows]
        return Claim(reserved_jobs(rows, token), self.again(labels), looked, waits, acked or ended)

    def _should_look(self, labels: Sequence[str]) -> bool:
        """Tell whether more may be known after a look, and it can be afforded."""
        return not self.outlook.is_certain(labels) and self._clock.monotonic() >= self.outlook.look_at(labels)

    def sweep_is_due(self) -> bool:
        """Tell whether expired reservations are to be looked for now."""
        return self._clock.monotonic() >= self._next_sweep

    def hear(self, link: Link) -> bool:
        """Find out whether others may have written since the last time, and rely on nothing where they have."""
        news = self._database.news(link)
        if news:
            self.outlook.distrust()
        return news is not False

    def look(self, link: Link, labels: Sequence[str]) -> None:
        """Read which levels hold waiting jobs, and from when on."""
        asked, now, began = self._clock.monotonic(), self._now(), time.perf_counter()
        rows = self._database.look(link, self._sql, labels, now)
        cost = time.perf_counter() - began
        levels = [(queue, priority, first) for queue, priority, first, _ in rows if first is not None]
        store_time = rows[0][3]
        at = (
            asked if store_time == now else self._clock.monotonic()
        )  # whose clock it was: the caller's, or the server's
        self.outlook.saw(labels, levels, store_time, at, cost)

    def again(self, labels: Sequence[str]) -> float:
        """Return when there may be something to claim that is not there now, on the clock's monotonic time."""
        instants = [self._next_sweep]
        if (due := self.outlook.next_due(labels)) is not None:
            instants.append(due)
        if not self.outlook.is_certain(labels):
            instants.append(self.outlook.look_at(labels))
        return min(instants)

    def _reserve(
        self,
        link: Link,
        labels: Sequence[str],
        limit: int,
        worker: str | None,
        token: str,
        acks: Sequence[Key] = (),
    ) -> tuple[Collection[Key], list[Row]]:
        """Claim from the levels that may have a due job; return what `Database.turn` does, in order."""
        levels = self.outlook.due_levels(labels)
        values = {"now": self._now(), "timeout": self._timeout, "receipt": token, "worker": worker, "limit": limit}
        acked: Collection[Key] = ()
        if acks:
            acked, rows = self._database.turn(link, self._sql, acks, levels, values)
        elif levels:
            rows = self._database.claim(link, self._sql, levels, values)
        else:
            return (), []
        ordered = in_order(rows, levels)
        furthest = ordered if len(levels) > 1 else ordered[-1:]
        taken = [(row[QUEUE], row[PRIORITY], row[AVAILABLE_AT], row[SEQ]) for row in furthest]
        self.outlook.claimed(levels, taken, short=len(rows) < limit)
        return acked, ordered

    def _sweep(self, link: Link) -> None:
        """Let expired reservations go. Looks only at what expired since the last time, for the same reason as a claim."""
        clock = self._clock.monotonic()
        was_set_back = self.outlook.store_time() < self._swept
        if clock >= self._next_full_sweep or was_set_back:
            self._swept = 0
            self._next_full_sweep = clock + FULL_SWEEP
        self._next_sweep = clock + self._sweep_every
        for row in self._database.reclaim(link, self._sql, {"now": self._now(), "since": self._swept}):
            self.outlook.expect(Arrival(*row))
        self._swept = max(0, self.outlook.store_time() - _MARGIN)


def in_order(rows: Sequence[Row], levels: Sequence[Level]) -> list[Row]:
    """Return rows claimed from these levels in the order in which they are to run."""
    ordered = sorted(rows, key=itemgetter(AVAILABLE_AT, SEQ))
    if len(levels) > 1:
        place = {(level.queue, level.priority): place for place, level in enumerate(levels)}
        ordered.sort(key=lambda row: place[row[QUEUE], row[PRIORITY]])  # stable
    return ordered


def new_token() -> str:
    """Return the random part of the receipts of one claim."""
    return os.urandom(RECEIPT // 2).hex()
