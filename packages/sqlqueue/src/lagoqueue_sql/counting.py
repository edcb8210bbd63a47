"""`Counts`: what a process did under each label and has not written yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

from lagoqueue.monitor.durations import slot_of
from lagoqueue.monitor.tally import FAILED, PROCESSED, PUSHED, RETRIED, RUN, WAIT, Tally, add, new_tally
from lagoqueue.queue import Settlement

_PLACES = {"ack": PROCESSED, "fail": FAILED, "nack": RETRIED}


class Unwritten(NamedTuple):
    """What was counted up to a moment.

    Attributes:
        tallies: The numbers of each label.
        processed_at: When the last of them was processed, by label, on the clock of `Counts`.
    """

    tallies: dict[str, Tally]
    processed_at: dict[str, int]


class Counts:
    """Counts from any thread, with one lock for what was done together.

    Args:
        now: The process's time in microseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._unwritten = Unwritten({}, {})
        self.since: float | None = None
        """When the oldest of them was counted, by `time.monotonic`; None while there are none."""

    # --- Counting -----------------------------------------------------------------------------------

    def pushed(self, queues: Iterable[str]) -> None:
        """Count a push under each of these labels."""
        self._count(zip(queues, repeat(PUSHED)))

    def retried(self, queues: Iterable[str]) -> None:
        """Count a failed job that was brought back under each of these labels."""
        self._count(zip(queues, repeat(RETRIED)))

    def waited(self, waits: Sequence[tuple[str, int]]) -> None:
        """Count how long jobs had been due that were reserved, given as label and microseconds."""
        self._count((queue, WAIT + slot_of(waited / 1_000_000)) for queue, waited in waits)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Count what was done to end reservations."""
        places: list[tuple[str, int]] = []
        for settlement in settlements:
            queue = settlement.job.queue
            if settlement.action in _PLACES:
                places.append((queue, _PLACES[settlement.action]))
            if settlement.seconds is not None:
                places.append((queue, RUN + slot_of(settlement.seconds)))
        self._count(places)

    def _count(self, places: Iterable[tuple[str, int]]) -> None:
        now = self._now()
        with self._lock:
            tallies, processed_at = self._unwritten
            for queue, place in places:
                tally = tallies.get(queue)
                if tally is None:
                    tally = tallies[queue] = new_tally()
                tally[place] += 1
                if place == PROCESSED:
                    processed_at[queue] = now
            if self.since is None and tallies:
                self.since = time.monotonic()

    # --- Writing ------------------------------------------------------------------------------------

    def take(self) -> Unwritten:
        """Return what was counted, and begin anew."""
        with self._lock:
            taken = self._unwritten
            self._begin()
        return taken

    def put_back(self, taken: Unwritten) -> None:
        """Count again what could not be written."""
        with self._lock:
            tallies, processed_at = self._unwritten
            for queue, tally in taken.tallies.items():
                add(tallies.setdefault(queue, new_tally()), tally)
            for queue, at in taken.processed_at.items():
                processed_at.setdefault(queue, at)
            self.since = time.monotonic()

    def reset(self) -> None:
        """Forget it all: in a forked child it is the parent's to write."""
        self._lock = threading.Lock()
        self._begin()
