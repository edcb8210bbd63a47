"""The two axes of a chart: where a value stands, and which round values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from lagoqueue_dashboard.look.format import duration

_MOST_TICKS = 5

_SPANS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0, 172800.0, 604800.0),
)
"""Round time spans; longer ones are drawn at the upper edge."""

_COARSE = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0, 604800.0)
"""Those of them that are enough where a chart spans many."""

_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
"""Seconds between round times."""


class Tick(msgspec.Struct, frozen=True):
    """A value that is written beside an axis.

    Attributes:
        at: Where: 0 is left or below, 1 is right or above.
        text: The value.
    """

    at: float
    text: str


class Scale(msgspec.Struct, frozen=True):
    """Where values stand between the lower edge and the upper.

    Attributes:
        low, high: The values at the edges.
        logarithmic: Each doubling takes the same height.
        ticks: From below.
    """

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Return where a value stands: 0 is below, 1 is above; beyond the edges it stands at them."""
        inside = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)


def linear(values: Sequence[float]) -> Scale:
    """Return the scale of amounts: from 0, with the ticks at 1, 2 or 5 times a power of ten."""
    most = max(values, default=0.0) or 1.0
    power = 10.0 ** math.floor(math.log10(most / _MOST_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * _MOST_TICKS >= most * (1 - 1e-9))
    steps = max(math.ceil(most / step - 1e-9), 1)
    ticks = tuple(Tick(index / steps, _amount(index * step)) for index in range(1, steps + 1))
    return Scale(0.0, steps * step, False, ticks)


def spans(values: Sequence[float]) -> Scale:
    """Return the scale of time spans: logarithmic, because a chart may hold milliseconds and minutes."""
    low = max((span for span in _SPANS if span <= min(values, default=0.0)), default=_SPANS[0])
    high = min((span for span in _SPANS if span >= max(values, default=0.0)), default=_SPANS[-1])
    if low >= high:
        place = min(_SPANS.index(high), len(_SPANS) - 2)
        low, high = _SPANS[max(place - 1, 0)], _SPANS[place + 1]
    marks = [span for span in _SPANS if low <= span <= high]
    coarse = [span for span in _COARSE if low <= span <= high]
    if len(marks) > _MOST_TICKS:
        marks = marks[::2] if len(coarse) < 3 else coarse
    if len(marks) > _MOST_TICKS:
        marks = marks[::2]
    scale = Scale(low, high, True, ())
    return msgspec.structs.replace(scale, ticks=tuple(Tick(scale.at(mark), _span(mark)) for mark in marks))


def times(first: datetime, last: datetime) -> tuple[Tick, ...]:
    """Return ticks at round times of UTC between two instants."""
    length = (last - first).total_seconds()
    if length <= 0:
        return (Tick(1.0, f"{first.astimezone(UTC):%H:%M}"),)
    step = next((step for step in _STEPS if length / step < _MOST_TICKS), _STEPS[-1])
    round_one = math.ceil(first.timestamp() / step) * step
    ticks: list[Tick] = []
    while round_one <= last.timestamp():
        at = datetime.fromtimestamp(round_one, UTC)
        text = f"{at.day} {at:%b}" if at == at.replace(hour=0, minute=0) else f"{at:%H:%M}"
        ticks.append(Tick((at - first) / timedelta(seconds=length), text))
        round_one += step
    return tuple(ticks)


def _amount(number: float) -> str:
    for unit, size in (("bn", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10 * size or (number >= size and size > 1e3):
            return f"{number / size:,.4g} {unit}"
    return f"{number:,.4g}" if number < 1000 else f"{number:,.0f}"


def _span(seconds: float) -> str:
    return duration(seconds).replace(".0 s", " s")
