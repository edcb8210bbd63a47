"""Numbers and instants at the public edge, and the clock that a store in this process lives by.

Outside, a duration is `float` seconds or a `timedelta`; inside it is always a checked `float`.
Outside, an instant is an aware `datetime`; inside it is UTC.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from lagoqueue.errors import InvalidValue

Seconds = float | timedelta
"""A duration: seconds as a number, or a timedelta."""

MAX_SECONDS = 10 * 366 * 86_400.0
"""Ten years: a longer delay, wait or timeout is taken for a mistake."""


def to_seconds(value: Seconds, name: str, *, positive: bool = False) -> float:
    """Return `value` as float seconds.

    Args:
        value: Seconds or timedelta, at least 0 (above 0 where `positive`) and at most ten years.
        name: What the caller calls it, for the message.
        positive: Refuse 0 as well.

    Raises:
        InvalidValue: Not a duration, negative, NaN, infinite, or longer than ten years.
    """
    if type(value) is float and 0.0 <= value <= MAX_SECONDS and (value or not positive):  # every driver's fast path
        return value
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= MAX_SECONDS or value != value else math.inf
    else:
        raise InvalidValue(f"{name} must be seconds or a timedelta, not {type(value).__name__} {value!r}")
    if not 0 <= seconds <= MAX_SECONDS or (positive and seconds == 0):
        least = "above 0" if positive else "at least 0"
        raise InvalidValue(f"{name} must be {least} and at most ten years of seconds, not {value!r}")
    return seconds


def at_least_one(value: int, name: str) -> int:
    """Return `value` if it is a whole number from 1.

    Raises:
        InvalidValue: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValue(f"{name} must be a whole number from 1, not {value!r}")
    return value


def to_utc(value: datetime, name: str) -> datetime:
    """Return an aware datetime in UTC.

    Raises:
        InvalidValue: Not a datetime, or a naive one, whose zone nobody knows.
    """
    if not isinstance(value, datetime):
        raise InvalidValue(f"{name} must be an aware datetime, not {type(value).__name__} {value!r}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidValue(f"{name} must be aware, but {value!r} has no time zone; use datetime.now(UTC)")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(f"{name} is outside the years that UTC can name: {value!r}") from None


class Timer(Protocol):
    """What `Clock.call_at` returns."""

    def cancel(self) -> None:
        """Do not call back; harmless when it has been called already."""
        ...


class Clock(Protocol):
    """The time of a store that lives in this process."""

    def time(self) -> float:
        """Return the wall clock in seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back in the running event loop once `monotonic()` has reached `when`."""
        ...


class SystemClock:
    """The machine's clocks, with the running loop's timers."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)  # last, because from here on the name hides the module

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back through the running loop's own timers."""
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)
