"""`Series`: what happened over time, ready for a chart, and how it is made of a history."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from datetime import datetime

import msgspec

from lagoqueue.monitor import Durations, ThroughputPoint

MOST_POINTS = 120
"""Points that a chart has at most; more of them are put together."""


class Line(msgspec.Struct, frozen=True):
    """One line of a chart.

    Attributes:
        name: What it shows, such as "finished".
        values: One a point of time; None where there is nothing to show.
        bad: It shows failures.
    """

    name: str
    values: tuple[float | None, ...]
    bad: bool = False


class Series(msgspec.Struct, frozen=True):
    """Lines over the same points of time.

    Attributes:
        title: What is shown, such as "Jobs a second, last hour".
        unit: Of the values: "jobs/s" or "s".
        at: When each point begins, aware UTC, oldest first.
        step: Seconds from one point to the next.
        lines: What is drawn.
    """

    title: str
    unit: str
    at: tuple[datetime, ...]
    step: int
    lines: tuple[Line, ...]


def throughput(points: Sequence[ThroughputPoint], span: str) -> Series | None:
    """Return how many jobs a second were finished and failed; None without two points.

    Args:
        points: A history.
        span: Names how long it is, for the title.
    """
    if len(points) < 2:
        return None
    groups, step = _grouped(points)
    seconds = _seconds(points)
    lines = (
        Line("finished", tuple(sum(point.processed for point in group) / (seconds * len(group)) for group in groups)),
        Line(
            "failed", tuple(sum(point.failed for point in group) / (seconds * len(group)) for group in groups), bad=True
        ),
    )
    return Series(f"Jobs a second, last {span}", "jobs/s", tuple(group[0].at for group in groups), step, lines)


def durations(points: Sequence[ThroughputPoint], field: str, title: str, span: str) -> Series | None:
    """Return the median and the 95th percentile of how long something took; None without two points.

    Args:
        points: A history.
        field: "run" or "wait".
        title: What took so long.
        span: Names how long the history is, for the title.
    """
    if len(points) < 2:
        return None
    groups, step = _grouped(points)
    taken = [merged(group, field) for group in groups]
    lines = (
        Line("median", tuple(each.percentile(0.5) for each in taken)),
        Line("95th percentile", tuple(each.percentile(0.95) for each in taken)),
    )
    return Series(f"{title}, last {span}", "s", tuple(group[0].at for group in groups), step, lines)


def merged(points: Sequence[ThroughputPoint], field: str) -> Durations:
    """Return the durations of all points together; `field` is "run" or "wait"."""
    found: Durations = functools.reduce(operator.add, (getattr(point, field) for point in points))
    return found


def _grouped(points: Sequence[ThroughputPoint]) -> tuple[list[list[ThroughputPoint]], int]:
    """Return the points in groups, one for each point of the chart, and the seconds that one covers.

    They begin at fixed times of the clock, so that the next refresh shows the same peaks. A group that
    the oldest points do not fill is left out, since it would shrink; the newest may still grow.
    """
    size = -(-len(points) // MOST_POINTS)
    step = _seconds(points) * size
    groups = [list(group) for _, group in itertools.groupby(points, lambda point: point.at.timestamp() // step)]
    return groups[len(groups[0]) < size :], step


def _seconds(points: Sequence[ThroughputPoint]) -> int:
    """Return how many seconds a point covers."""
    return round((points[1].at - points[0].at).total_seconds())


def all_series(points: Sequence[ThroughputPoint], span: str) -> tuple[Series, ...]:
    """Return throughput, run time and waiting time; none where there is no history."""
    made = (
        throughput(points, span),
        durations(points, "run", "Run time", span),
        durations(points, "wait", "Waiting time", span),
    )
    return tuple(series for series in made if series is not None)
