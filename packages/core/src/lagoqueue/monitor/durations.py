"""`Durations`: a histogram of how long things took, small enough to keep one for every few seconds."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

import msgspec

from lagoqueue.errors import InvalidValue

BOUNDS: tuple[float, ...] = (
    *(0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0),
    *(10.0, 20.0, 50.0),
    *(100.0, 200.0, 500.0),
    *(1_000.0, 2_000.0, 5_000.0),
    *(10_000.0, 20_000.0, 50_000.0),
    86_400.0,
)
"""The longest duration, in seconds, that each slot of a histogram counts: from a millisecond to a day."""

SLOTS = len(BOUNDS) + 1
"""One for each of `BOUNDS`, and the last for what took longer than all of them."""

_EMPTY = (0,) * SLOTS


def slot_of(seconds: float) -> int:
    """Return the slot that counts a duration; one below 0, by clocks that disagree, counts as 0."""
    return bisect_left(BOUNDS, seconds)


class Durations(msgspec.Struct, frozen=True):
    """How many took how long, in slots whose widths grow with the durations.

    A percentile lies in the same slot as the exact one, so between a millisecond and a day it is never
    off by more than a factor of 2.5; where durations spread over several slots, by far less.

    Attributes:
        counts: One for each of `BOUNDS`, of those that took no longer than that and longer than the
            bound before; the last is of those that took longer than all.

    Raises:
        InvalidValue: `counts` has another length.
    """

    counts: tuple[int, ...] = _EMPTY

    def __post_init__(self) -> None:
        if len(self.counts) != SLOTS:
            raise InvalidValue(f"counts must have {SLOTS} numbers, one for each slot, not {len(self.counts)}")

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def percentile(self, share: float) -> float | None:
        """Return the seconds within which a share of them were done; None where nothing was counted.

        Within a slot they are taken to be spread evenly on a logarithmic scale. What took longer than
        a day is given as a day.

        Args:
            share: From 0 to 1; 0.95 for the 95th percentile.

        Raises:
            InvalidValue: `share` is outside of that.
        """
        if not 0.0 <= share <= 1.0:
            raise InvalidValue(f"share must be from 0 to 1, as 0.95 for the 95th percentile, not {share!r}")
        total = self.total
        if total == 0:
            return None
        rank = max(1, math.ceil(share * total))
        counted = 0
        for slot, count in enumerate(self.counts):
            if rank <= counted + count:
                return _within(slot, (rank - counted - 0.5) / count)
            counted += count
        raise AssertionError("a rank is never above the total")

    def __add__(self, other: Durations) -> Durations:
        """Return the histogram of both together."""
        return Durations(tuple(map(int.__add__, self.counts, other.counts)))


_EDGES = tuple(pairwise((0.0, *BOUNDS)))


def _within(slot: int, place: float) -> float:
    """Return the duration at a place, from 0 to 1, in a slot."""
    if slot == len(BOUNDS):
        return BOUNDS[-1]
    lower, upper = _EDGES[slot]
    return upper * place if lower == 0.0 else lower * (upper / lower) ** place
