"""`QueueActivity`: what was done under one label in the last while, in the few numbers that a row of a table shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate, pairwise

import msgspec

from lagoqueue.monitor.durations import Durations

PARTS = 30
"""Parts in which a window is shown."""


class QueueActivity(msgspec.Struct, frozen=True):
    """What was done under one label in a window of time that ends now.

    Attributes:
        queue: The label.
        run: How long the handlers ran of jobs that were processed in the window, as far as that is known.
        wait: How long jobs waited that were taken up in the window; see `ThroughputPoint`.
        processed, failed: Counted in each of 30 equal parts of the window, oldest first. As in a
            history, the ten seconds or five minutes that run are left out.
        last_at: When a job was last processed, in the window or before, aware UTC; None if that is not known.
        pushed: Counted in the window.
    """

    queue: str
    run: Durations = Durations()
    wait: Durations = Durations()
    processed: tuple[int, ...] = (0,) * PARTS
    failed: tuple[int, ...] = (0,) * PARTS
    last_at: datetime | None = None
    pushed: int = 0


def in_parts(window: range, counts: Mapping[int, int]) -> tuple[int, ...]:
    """Return what was counted in each part of a window, without losing any.

    What was counted across the border of two parts is divided as if it had come evenly.

    Args:
        window: Where its buckets begin.
        counts: By where a bucket begins; others than those of the window are left out.
    """
    return spread([counts.get(start, 0) for start in window])


def spread(counts: Sequence[int]) -> tuple[int, ...]:
    """Return counts of equal stretches of time as counts of `PARTS` equal ones."""
    before = [0, *accumulate(counts)]

    def until(part: int) -> int:
        whole, rest = divmod(part * len(counts), PARTS)
        return before[whole] + (counts[whole] * rest // PARTS if rest else 0)

    return tuple(end - begin for begin, end in pairwise(map(until, range(PARTS + 1))))
