"""How counts are laid out: a row of numbers for each label and stretch of time.

First what was counted (`COUNTS`), then the slots of the run times, then those of the waiting times. A store
that keeps such rows adds them up place by place.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from lagoqueue.monitor.durations import SLOTS, Durations
from lagoqueue.monitor.points import ThroughputPoint

COUNTS = ("pushed", "processed", "failed", "retried")
PUSHED, PROCESSED, FAILED, RETRIED = range(len(COUNTS))

RUN = len(COUNTS)
"""Where the slots of the run times begin."""

WAIT = RUN + SLOTS
"""Where those of the waiting times begin."""

NAMES = (*COUNTS, *(f"run_{slot}" for slot in range(SLOTS)), *(f"wait_{slot}" for slot in range(SLOTS)))
"""What a store calls the numbers, in their order."""

Tally: TypeAlias = "array[int]"
"""One row, to count in. It takes half the memory of a list."""


def new_tally() -> Tally:
    """Return a row of zeros."""
    return array("I", [0]) * len(NAMES)


def add(tally: Tally, numbers: Sequence[int]) -> None:
    """Add another row to one."""
    for place, number in enumerate(numbers):
        if number:
            tally[place] += number


def total(rows: Collection[Sequence[int]]) -> Sequence[int]:
    """Return the sum of rows, which is zeros for none."""
    return [sum(numbers) for numbers in zip(*rows, strict=True)] if rows else new_tally()


def run_of(numbers: Sequence[int]) -> Durations:
    """Return the run times that a row has."""
    return Durations(tuple(numbers[RUN:WAIT]))


def wait_of(numbers: Sequence[int]) -> Durations:
    """Return the waiting times that a row has."""
    return Durations(tuple(numbers[WAIT:]))


def point(start: int, numbers: Sequence[int]) -> ThroughputPoint:
    """Return what was counted from a second of the epoch on."""
    pushed, processed, failed, retried = numbers[:RUN]
    at = datetime.fromtimestamp(start, UTC)
    return ThroughputPoint(at, pushed, processed, failed, retried, run_of(numbers), wait_of(numbers))
