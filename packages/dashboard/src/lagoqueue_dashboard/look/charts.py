"""The geometry of charts, and their words: from `Series` and counts to what the templates draw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from lagoqueue_dashboard.look.format import duration, per_second
from lagoqueue_dashboard.look.scales import Scale, Tick, linear, spans, times
from lagoqueue_dashboard.series import Line, Series

WIDTH, HEIGHT = 1000, 200
"""Units of a chart's drawing, which is stretched to the place that a page has for it."""

SPARK_WIDTH, SPARK_HEIGHT = 96, 24
"""Units of a sparkline's drawing."""


class Stroke(msgspec.Struct, frozen=True):
    """One line as it is drawn.

    Attributes:
        name: What it shows.
        look: "main" or "other", or "bad" where it shows failures.
        path: The line; a gap where nothing is known.
        area: What is below it, of the main line of a chart of amounts; else "".
        last: The newest value, with its unit; "" when it is not known.
    """

    name: str
    look: str
    path: str
    area: str
    last: str


class Spot(msgspec.Struct, frozen=True):
    """A column of a chart that tells its values to whoever points at it.

    Attributes:
        x, width: Where it is, in units of the drawing.
        text: The time and the values.
    """

    x: float
    width: float
    text: str


class Chart(msgspec.Struct, frozen=True):
    """A chart as it is drawn.

    Attributes:
        title: What it shows.
        words: The same figures in words, for those who do not see it.
        empty: There is nothing to draw.
        strokes: The lines.
        y, x: What is written beside the axes.
        spots: One a point.
    """

    title: str
    words: str
    empty: bool
    strokes: tuple[Stroke, ...]
    y: tuple[Tick, ...]
    x: tuple[Tick, ...]
    spots: tuple[Spot, ...]


class Spark(msgspec.Struct, frozen=True):
    """A line without axes.

    Attributes:
        path: The line.
        area: What is below it.
        words: Its figures.
    """

    path: str
    area: str
    words: str


def chart(series: Series) -> Chart:
    """Return how a series is drawn: amounts from 0, time spans on a logarithmic scale."""
    lines = tuple(msgspec.structs.replace(line, values=tuple(map(_finite, line.values))) for line in series.lines)
    series = msgspec.structs.replace(series, lines=lines)
    values = [value for line in series.lines for value in line.values if value is not None]
    if not values:
        return Chart(series.title, "Nothing is known of this time.", True, (), (), (), ())
    scale = spans(values) if series.unit == "s" else linear(values)
    places = _places(len(series.at))
    return Chart(
        title=series.title,
        words=_words(series),
        empty=False,
        strokes=tuple(_stroke(line, index, scale, places, series.unit) for index, line in enumerate(series.lines)),
        y=scale.ticks,
        x=times(series.at[0], series.at[-1]),
        spots=tuple(_spots(series, places)),
    )


def spark(values: Sequence[int], what: str = "finished") -> Spark | None:
    """Return how counts are drawn as a line without axes; None where there are none."""
    if not values:
        return None
    most = max(values)
    places = [x * SPARK_WIDTH / WIDTH for x in _places(len(values))]
    ys = [SPARK_HEIGHT - 1.5 - (SPARK_HEIGHT - 3) * value / max(most, 1) for value in values]
    path = _path(list(zip(places, ys, strict=True)))
    total = sum(values)
    words = f"{total:,} {what}, {most:,} at most and {values[-1]:,} at the end of {len(values)} parts"
    return Spark(path, _closed(path, places[0], places[-1], SPARK_HEIGHT), words if total else f"none {what}")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else max(value, 0.0)


def _places(number: int) -> list[float]:
    return [WIDTH * index / (number - 1) for index in range(number)] if number > 1 else [float(WIDTH)]


def _stroke(line: Line, index: int, scale: Scale, places: Sequence[float], unit: str) -> Stroke:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in zip(places, line.values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((x, HEIGHT * (1 - scale.at(value))))
    paths = [(_path(run), run) for run in runs if run]
    filled = index == 0 and unit != "s"
    newest = line.values[-1]
    return Stroke(
        name=line.name,
        look="bad" if line.bad else "other" if index else "main",
        path=" ".join(path for path, _ in paths),
        area=" ".join(_closed(path, run[0][0], run[-1][0], HEIGHT) for path, run in paths) if filled else "",
        last="" if newest is None else _value(newest, unit),
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return path if len(points) > 1 else f"{path} h.01"  # with round ends a line of no length is a dot


def _closed(path: str, left: float, right: float, bottom: int) -> str:
    return f"{path} L{right:.1f} {bottom} L{left:.1f} {bottom} Z"


def _spots(series: Series, places: Sequence[float]) -> list[Spot]:
    width = WIDTH / max(len(places) - 1, 1)
    spots = []
    for index, (x, at) in enumerate(zip(places, series.at, strict=True)):
        told = [f"{line.name} {_told(line.values[index], series.unit)}" for line in series.lines]
        spots.append(Spot(round(x - width / 2, 1), round(width, 1), f"{_time(at, series)} UTC: {', '.join(told)}"))
    return spots


def _time(at: datetime, series: Series) -> str:
    at = at.astimezone(UTC)
    if series.step * len(series.at) > 12 * 3600:
        return f"{at.day} {at:%b %H:%M}"
    return f"{at:%H:%M:%S}" if series.step % 60 else f"{at:%H:%M}"


def _words(series: Series) -> str:
    sentences = [f"From {_time(series.at[0], series)} to {_time(series.at[-1], series)} UTC."]
    for line in series.lines:
        known = [value for value in line.values if value is not None]
        name = line.name[:1].upper() + line.name[1:]
        if not known:
            sentences.append(f"{name}: not known.")
        elif max(known) == 0:
            sentences.append(f"{name}: none." if series.unit != "s" else f"{name}: 0 s.")
        else:
            figures = (
                f"lowest {_value(min(known), series.unit)}",
                f"median {_value(statistics.median(known), series.unit)}",
            )
            sentences.append(f"{name}: {', '.join(figures)}, highest {_told(max(known), series.unit)}.")
    return " ".join(sentences)


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    return f"{value:,.0f}" if value >= 9.95 else per_second(value)


def _told(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    return _value(value, unit) if unit == "s" else f"{_value(value, unit)} {unit}"
