"""`Outlook`: what a claim knows beforehand, so that it reads the rows that it takes and no others.

An index entry of a job that is done stays in the way of every later scan until a vacuum may remove
it, and while any old transaction is open anywhere in the database, no vacuum may. A claim that
began its scan at the first entry would then slow down with every job done. So each scan begins at
the instant up to which earlier claims have taken everything, the level's floor.

Behind a floor a job can still appear: its transaction took long to commit, it was pushed with an
instant in the past, its reservation expired, or the server's clock was set back. A look finds those,
and priorities that other processes began to use. It reads from the first entry, so the time between
two looks grows with what one costs: looking never takes more than a fortieth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lagoqueue._time import Clock

SHARE = 40
"""One part in this many of a claimer's time may go into looking."""

KNOWN = 10_000
"""Levels that are remembered; beyond that all are forgotten and looked for again."""

_SLACK = 2_000
"""Microseconds by which the estimate of the store's time may be off."""


class Level(NamedTuple):
    """Where to claim: a label, one priority under it, and the floor: no job before it waits, as far as is known.

    A floor is an instant, and the `seq` among the many jobs that one push makes due at one instant.
    """

    queue: str
    priority: int
    floor: int
    floor_seq: int = 0


class Arrival(NamedTuple):
    """A job that comes to wait: where, and its instant; without one it is due `delay` microseconds from about now."""

    queue: str
    priority: int
    at: int | None = None
    delay: int = 0


Key = tuple[str, int]
Floor = tuple[int, int]


class Outlook:
    """The levels (a label and a priority) in which jobs wait, as far as this claimer knows. One thread's."""

    def __init__(self, clock: Clock, look_every: float) -> None:
        self._clock = clock
        self._look_every = look_every
        self._floors: dict[Key, Floor] = {}
        self._due: dict[Key, int] = {}  # when the next job of a level is due, for levels that have one
        self._stale_at: dict[str, float] = {}
        self._look_at: dict[str, float] = {}
        self._certain: set[str] = set()  # labels under which nothing was taken since the last look
        self._offset = 0

    # --- Asking -------------------------------------------------------------------------------------

    def store_time(self) -> int:
        """Return about what the store's clock shows now."""
        return round(self._clock.monotonic() * 1_000_000) + self._offset

    def is_stale(self, labels: Sequence[str]) -> bool:
        """Tell whether a look is due before the next claim under these labels."""
        now = self._clock.monotonic()
        return any(now >= self._stale_at.get(label, now) for label in labels)

    def look_at(self, labels: Sequence[str]) -> float:
        """Return from when on another look is affordable, on the clock's monotonic time."""
        return max(self._look_at.get(label, 0.0) for label in labels)

    def due_levels(self, labels: Sequence[str]) -> list[Level]:
        """Return the levels that may have a due job, in the order in which to claim."""
        now = self.store_time() + _SLACK
        levels: list[Level] = []
        for label in labels:
            due = [priority for (queue, priority), at in self._due.items() if queue == label and at <= now]
            levels += [Level(label, each, *self._floors[label, each]) for each in sorted(due, reverse=True)]
        return levels

    def is_certain(self, labels: Sequence[str]) -> bool:
        """Tell whether `next_due` knows all that the last look saw."""
        return self._certain.issuperset(labels)

    def next_due(self, labels: Sequence[str]) -> float | None:
        """Return when the next known job comes due, on the clock's monotonic time; None when none waits."""
        instants = [at for (queue, _), at in self._due.items() if queue in labels]
        return (min(instants) - self._offset) / 1_000_000 if instants else None

    # --- Learning -----------------------------------------------------------------------------------

    def saw(
        self, labels: Sequence[str], levels: Iterable[tuple[str, int, int]], now: int, at: float, cost: float
    ) -> None:
        """Take in what a look found: label, priority and first instant of every level with waiting jobs.

        Args:
            labels: Where it looked.
            levels: What it found.
            now: The store's time at the look, in microseconds.
            at: When that was, on the clock's monotonic time; rather later than sooner.
            cost: Seconds that the look took.
        """
        ended = self._clock.monotonic()
        self._offset = now - round(at * 1_000_000)
        self._certain.update(labels)
        for label in labels:
            self._look_at[label] = ended + (SHARE * cost if self._look_every else 0.0)
            self._stale_at[label] = max(self._look_at[label], ended + self._look_every)
        if len(self._floors) > KNOWN:
            self._floors.clear()
            self._due.clear()
        for key in [key for key in self._floors if key[0] in labels]:
            self._due.pop(key, None)
            self._floors[key] = max((now, 0), self._floors[key])  # all before is gone, or not committed yet
        for queue, priority, first in levels:
            self._due[queue, priority] = first
            self._floors[queue, priority] = min(first, now), 0

    def expect(self, arrival: Arrival) -> None:
        """A job comes to wait."""
        queue, priority, at, delay = arrival
        key = queue, priority
        known = self._floors.get(key)
        if at is None:  # a floor was the store's time once, so what comes now is not before it
            floor = self._floors[key] = known or (0, 0)
            at = self.store_time() + delay if delay else floor[0]
        else:
            self._floors[key] = min((at, 0), known or (self.store_time(), 0))
        self._due[key] = min(at, self._due.get(key, at))

    def stir(self) -> None:
        """Somebody pushed somewhere: every known level may have a due job, and there may be levels that are not known."""
        self._certain.clear()
        for key, (floor, _) in self._floors.items():
            self._due.setdefault(key, floor)

    def distrust(self) -> None:
        """Look before the next claim. From any thread."""
        self._stale_at.clear()
        self._look_at.clear()

    def claimed(self, asked: Sequence[Level], taken: Iterable[tuple[str, int, int, int]], *, short: bool) -> None:
        """Take in what a claim took: label, priority, instant and `seq` of each job.

        Args:
            asked: The levels it was to look in.
            taken: What it took.
            short: It took less than it might have, so the levels it asked hold no more that is due.
        """
        last: dict[Key, Floor] = {}
        for queue, priority, at, seq in taken:
            key = queue, priority
            if (at, seq) > last.get(key, (-1, 0)):
                last[key] = at, seq
        self._floors.update(last)
        if short:
            for level in asked:
                key = level.queue, level.priority
                if self._due.get(key, 0) <= self.store_time():  # it may have been asked a little early
                    self._due.pop(key, None)
                self._certain.discard(level.queue)
