"""`ThroughputPoint`: one point of a chart, and the stretches of time that the points of a history cover."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor.durations import Durations

SHORT = 10
"""Seconds that a point covers in a history of up to an hour."""

LONG = 300
"""Seconds that a point covers in a longer one."""

HOUR = 60
"""Minutes that are kept by ten seconds, and what a history looks back unless told otherwise."""

DAY = 1_440
"""Minutes that are kept by five minutes, and so what a history looks back at most."""

KEPT = {SHORT: 60 * HOUR, LONG: 60 * DAY}
"""For how many seconds the buckets of each length are kept."""


class ThroughputPoint(msgspec.Struct, frozen=True):
    """What was done in ten seconds, or in five minutes: one point of a chart.

    Attributes:
        at: When they began, aware UTC.
        pushed, processed, failed, retried: Counted in this time.
        run: How long the handlers ran of jobs that were processed, as far as that is known.
        wait: How long jobs waited that were taken up, from when they were due. Each delivery counts.
    """

    at: datetime
    pushed: int = 0
    processed: int = 0
    failed: int = 0
    retried: int = 0
    run: Durations = Durations()
    wait: Durations = Durations()


def history_points(counted: Iterable[ThroughputPoint], now: float, minutes: int = HOUR) -> list[ThroughputPoint]:
    """Return a point for each stretch of time that is over, oldest first, with zeros where nothing was counted.

    The one that runs is left out: a chart would seem to fall at its end.

    Args:
        counted: What there is, in any order; what lies outside is left out.
        now: Seconds since the epoch.
        minutes: How far to look back. Up to 60, a point covers ten seconds; beyond that five
            minutes, in whole ones.

    Raises:
        InvalidValue: `minutes` is not a whole number from 1 to 1,440.
    """
    points = {point.at: point for point in counted}
    instants = [datetime.fromtimestamp(start, UTC) for start in buckets(now, minutes)]
    return [points.get(at) or ThroughputPoint(at) for at in instants]


def bucket_seconds(minutes: int) -> int:
    """Return how long a stretch of time is in a history of so many minutes.

    Raises:
        InvalidValue: `minutes` is not a whole number from 1 to 1,440.
    """
    if type(minutes) is not int or not 1 <= minutes <= DAY:
        raise InvalidValue(f"minutes must be a whole number from 1 to {DAY}, not {minutes!r}")
    return SHORT if minutes <= HOUR else LONG


def bucket_of(now: float, seconds: int) -> int:
    """Return the second of the epoch at which the stretch of time begins in which an instant lies."""
    return int(now // seconds) * seconds


def buckets(now: float, minutes: int) -> range:
    """Return the seconds of the epoch at which the stretches begin that are over and that a history covers.

    Raises:
        InvalidValue: `minutes` is not a whole number from 1 to 1,440.
    """
    seconds = bucket_seconds(minutes)
    end = bucket_of(now, seconds)
    return range(end + (-60 * minutes // seconds) * seconds, end, seconds)
