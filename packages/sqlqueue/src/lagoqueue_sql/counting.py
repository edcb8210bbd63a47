"""`Counts`: what a process did under each label and has not written yet."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lagoqueue.monitor.durations import BOUNDS, slot_of
from lagoqueue.monitor.tally import FAILED, PROCESSED, PUSHED, RETRIED, RUN, WAIT, Tally, add, new_tally
from lagoqueue.queue import Settlement

_WAITS = [round(bound * 1_000_000) for bound in BOUNDS]
"""The bounds of a histogram's slots in microseconds."""

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
        self._unwritten = Unwritten(defaultdict(new_tally), {})
        self.since: float | None = None
        """When the oldest of them was counted, by `time.monotonic`; None while there are none."""

    # --- Counting -----------------------------------------------------------------------------------

    def pushed(self, queues: Iterable[str]) -> None:
        """Count a push under each of these labels."""
        self._count(queues, PUSHED)

    def retried(self, queues: Iterable[str]) -> None:
        """Count a failed job that was brought back under each of these labels."""
        self._count(queues, RETRIED)

    def waited(self, waits: Sequence[tuple[str, int]]) -> None:
        """Count how long jobs had been due that were reserved, given as label and microseconds."""
        with self._lock:
            tallies = self._unwritten.tallies
            for queue, micros in waits:
                tallies[queue][WAIT + bisect_left(_WAITS, micros)] += 1
            self._begun()

    def settled(self, settlements: Sequence[Settlement], at: int | None = None) -> None:
        """Count what was done to end reservations, now or at an instant of the clock of `Counts`."""
        now = self._now() if at is None else at
        with self._lock:
            tallies, processed_at = self._unwritten
            for each in settlements:
                queue = each.job.queue
                place = _PLACES.get(each.action)
                if place is not None:
                    tallies[queue][place] += 1
                    if place == PROCESSED:
                        processed_at[queue] = now
                if each.seconds is not None:
                    tallies[queue][RUN + slot_of(each.seconds)] += 1
            self._begun()

    def _count(self, queues: Iterable[str], place: int) -> None:
        with self._lock:
            tallies = self._unwritten.tallies
            for queue in queues:
                tallies[queue][place] += 1
            self._begun()

    def _begun(self) -> None:
        """Remember since when there is something to write."""
        if self.since is None and self._unwritten.tallies:
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
                add(tallies[queue], tally)
            for queue, at in taken.processed_at.items():
                processed_at.setdefault(queue, at)
            self.since = time.monotonic()

    def reset(self) -> None:
        """Forget it all: in a forked child it is the parent's to write."""
        self._lock = threading.Lock()
        self._begin()
