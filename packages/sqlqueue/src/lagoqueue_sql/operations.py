"""`Operations`: what a queue's thread does with its store, and what it remembers from one call to the next.

Everything here runs in that thread, one call after another, so none of it is locked. `SQLQueue` is the
side that coroutines see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from lagoqueue._time import Clock, to_seconds
from lagoqueue.errors import OutcomeUnknown
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue_sql.chores import QueueChores
from lagoqueue_sql.claim import Claim, Claimer, new_token
from lagoqueue_sql.database import Database, Mode
from lagoqueue_sql.keeper import SQLKeeper
from lagoqueue_sql.link import Link
from lagoqueue_sql.outlook import Arrival
from lagoqueue_sql.pusher import Pusher
from lagoqueue_sql.rows import Key, duration
from lagoqueue_sql.settle import Endings, extend, settle
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store
from lagoqueue_sql.waiting import Bell


class Turned(NamedTuple):
    """What a turn did: what it reserved, and the settlements whose reservation was lost."""

    found: Claim
    lost: list[Settlement]


class Operations:
    """The operations of one queue object.

    Args:
        database: Whose statements these are.
        sql: The statements.
        clock: For waiting.
        now: The caller's time in microseconds, for stores without a clock.
        visibility_timeout: Seconds for which a job is reserved.
        chores: Told what to count, and when to wake other processes.
        bell: Rung when jobs came to wait.
    """

    def __init__(
        self,
        database: Database,
        sql: Statements,
        clock: Clock,
        now: Callable[[], int],
        visibility_timeout: float,
        chores: QueueChores,
        bell: Bell,
    ) -> None:
        self._database = database
        self._sql = sql
        self._clock = clock
        self._now = now
        self._timeout = duration(visibility_timeout)
        self._chores = chores
        self._bell = bell
        self._heard = 0
        self._claimer = Claimer(database, sql, clock, now, visibility_timeout)
        self.outlook = self._claimer.outlook
        self.pusher = Pusher(database, sql, now, chores, self.arrived)
        self.keepers: list[SQLKeeper] = []
        self._enrolled: set[str] = set()
        self._lost_tokens: set[str] = set()  # of claims whose answer was lost
        self._sure_for = visibility_timeout / 2
        self._unsure: dict[Key, float] = {}  # settlements whose answer was lost, and when they were first tried

    # --- Arrivals ------------------------------------------------------------------------------------

    def arrived(self, jobs: Iterable[Arrival], told: bool = False) -> None:
        """Jobs came to wait; wake who waits, others only unless they were told."""
        for arrival in jobs:
            self.outlook.expect(arrival)
        self._bell.ring()
        if not told:
            self._chores.notify()

    def retried(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Failed jobs wait again, given as queue and priority."""
        self._chores.counts.retried(queue for queue, _ in jobs)
        self.arrived(Arrival(queue, priority) for queue, priority in jobs)

    # --- Claim ----------------------------------------------------------------------------------------

    def look(self, store: Store, labels: Sequence[str]) -> Claim | None:
        """Return an empty claim, or None when there may be something to claim. Only reads, so it takes no lock."""
        claimer = self._claimer
        if store.run(claimer.hear, Mode.READ) or claimer.again(labels) <= self._clock.monotonic():
            store.run(lambda link: claimer.look(link, labels), Mode.READ)
        if self.outlook.due_levels(labels) or claimer.sweep_is_due():
            return None
        return Claim([], claimer.again(labels), looked=True)

    def claim(self, store: Store, labels: Sequence[str], limit: int, thorough: bool) -> Claim:
        """Reserve due jobs, with a second try when the connection is lost before the answer came."""
        return self._turn(store, (), labels, limit, thorough).found

    def turn(self, store: Store, settlements: Sequence[Settlement], labels: Sequence[str], limit: int) -> Turned:
        """Do as `settle` and `claim` do, in one transaction, and where it can be with one statement."""
        return self._turn(store, settlements, labels, limit, thorough=False)

    def _turn(
        self, store: Store, settlements: Sequence[Settlement], labels: Sequence[str], limit: int, thorough: bool
    ) -> Turned:
        if self._heard != self._bell.rung:
            self._heard = self._bell.rung
            self.outlook.stir()
        worker = self._enrolled_worker(store)
        try:
            turned = self._turn_once(store, settlements, labels, limit, thorough, worker)
        except OutcomeUnknown:
            turned = self._turn_once(store, settlements, labels, limit, thorough, worker)
        if turned.found.waits:
            store.later(partial(self._chores.counts.waited, turned.found.waits))
        self._settled(store, settlements, turned.lost)
        return turned

    def _enrolled_worker(self, store: Store) -> str | None:
        """Return the worker for which this queue claims, entered in the table before its first claim."""
        if not self.keepers:
            return None
        keeper = self.keepers[0]
        if keeper.worker not in self._enrolled:
            store.run(keeper.enrol, Mode.SINGLE)
            self._enrolled.add(keeper.worker)
        return keeper.worker

    def _turn_once(
        self,
        store: Store,
        settlements: Sequence[Settlement],
        labels: Sequence[str],
        limit: int,
        thorough: bool,
        worker: str | None,
    ) -> Turned:
        """Settle and claim, after giving back what claims reserved whose answer was lost."""
        token = new_token()
        endings = Endings(settlements, self._unsure, self._is_recent)
        began = self._clock.monotonic()
        sweep = self._claimer.sweep_is_due()
        several = not endings.only_acks or (sweep and bool(endings.acks))

        def turn(link: Link) -> Turned:
            for lost in self._lost_tokens:
                link.count(self._sql.give_back, {"receipt": lost})
            held = endings.end_others(self._database, link, self._sql, self._now())
            found = self._claimer.claim(
                link, labels, limit, worker=worker, token=token, thorough=thorough, sweep=sweep, acks=endings.acks
            )
            held.update(found.acked, endings.acked_before(link, self._sql, found.acked))
            return Turned(found, endings.lost(held))

        try:
            turned = store.run(turn, Mode.ATOMIC if several else self._database.claim_mode)
        except OutcomeUnknown:
            self._lost_tokens.add(token)
            self._doubt(endings, began)
            raise
        self._lost_tokens.clear()
        self._know(endings)
        return turned

    def give_back(self, link: Link, found: Claim) -> None:
        """Release what a cancelled pop had reserved, as if it had never been."""
        releases = Endings([Settlement(job, "release") for job in found.jobs])
        settle(self._database, link, self._sql, releases, now=self._now())
        self.arrived(Arrival(job.queue, job.priority) for job in found.jobs)

    def give_turn_back(self, link: Link, turned: Turned) -> None:
        """Release what a cancelled turn had reserved; what it settled is settled."""
        self.give_back(link, turned.found)

    # --- Settle ---------------------------------------------------------------------------------------

    def settle(self, store: Store, settlements: Sequence[Settlement]) -> list[Settlement]:
        """End reservations, with a second try when the connection is lost before the answer came; return the lost."""
        try:
            lost = self._settle_once(store, settlements)
        except OutcomeUnknown:
            lost = self._settle_once(store, settlements)
        self._settled(store, settlements, lost)
        return lost

    def _settle_once(self, store: Store, settlements: Sequence[Settlement]) -> list[Settlement]:
        endings = Endings(settlements, self._unsure, self._is_recent)
        began = self._clock.monotonic()
        try:
            lost = store.run(
                lambda link: settle(self._database, link, self._sql, endings, now=self._now()), endings.mode
            )
        except OutcomeUnknown:
            self._doubt(endings, began)
            raise
        self._know(endings)
        return lost

    def _is_recent(self, key: Key) -> bool:
        """Whether a settlement was first tried so lately that nobody else can have had the job since.

        A worker that beats has more than half of the visibility timeout ahead of it.
        """
        return self._clock.monotonic() - self._unsure[key] < self._sure_for

    def _doubt(self, endings: Endings, began: float) -> None:
        for key in endings.keys:
            self._unsure.setdefault(key, began)

    def _know(self, endings: Endings) -> None:
        if self._unsure:
            for key in endings.keys:
                self._unsure.pop(key, None)

    def _settled(self, store: Store, settlements: Sequence[Settlement], lost: Sequence[Settlement]) -> None:
        """Count what was settled, and wake who waits for what was put back."""
        done = settlements
        if lost:
            gone = {id(settlement) for settlement in lost}
            done = [settlement for settlement in settlements if id(settlement) not in gone]
        if done:
            store.later(partial(self._chores.counts.settled, done, self._now()))
        back = [each for each in done if each.action in ("nack", "release")]
        if back:
            self.arrived(
                Arrival(each.job.queue, each.job.priority, delay=duration(to_seconds(each.delay, "delay")))
                for each in back
            )

    def extend(self, store: Store, jobs: Sequence[Job]) -> list[Job]:
        """Let reservations run for a full visibility timeout from now; return the lost ones."""
        return store.run(
            lambda link: extend(self._database, link, self._sql, jobs, now=self._now(), timeout=self._timeout),
            Mode.SINGLE,
        )
