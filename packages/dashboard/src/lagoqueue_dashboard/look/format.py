"""Filters of the templates: figures, times and texts as people say them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lagoqueue.monitor import COUNT_CAP
from lagoqueue_dashboard.look.frames import frames

_LONG_ID = 16


def count(number: int) -> str:
    """Return a whole number with its thousands apart: "1,284"."""
    return f"{number:,}"


def brief(number: int) -> str:
    """Return a whole number that fits in a large figure: "1,284", "184,203", "12.3 M"."""
    if number >= 10**9:
        return f"{number / 10**9:,.1f} bn"
    if number >= 10**7:
        return f"{number / 10**6:,.1f} M"
    return count(number)


def capped(number: int, more: bool | None = None) -> str:
    """Return a count that stopped at some number as "10,000+".

    Args:
        number: The count.
        more: It stopped; None where that is so from `COUNT_CAP` on.
    """
    stopped = number >= COUNT_CAP if more is None else more
    return f"{brief(number)}+" if stopped else brief(number)


def plural(number: int, one: str, many: str = "", more: bool = False) -> str:
    """Return a number with what it counts: "1 job", "27 jobs", "10,000+ jobs"."""
    word = one if number == 1 and not more else many or f"{one}s"
    return f"{count(number)}{'+' if more else ''} {word}"


def duration(seconds: float) -> str:
    """Return a time span with two digits at most, in one unit: "41 ms", "8.2 s", "4 min", "3 days"."""
    if seconds <= 0:
        return "0 s"
    if seconds < 0.0005:
        return "< 1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    # Of a longer span people name the units that are over: after 4 min 50 s it is 4 min.
    whole = int(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * 86400:
        return f"{whole // 3600} h"
    return f"{whole // 86400:,} days"


def rate(per_second: float) -> str:
    """Return jobs per second in the unit that suits: "52 a second", "1.6 a second", "4 a minute"."""
    for unit, seconds in (("a second", 1), ("a minute", 60), ("an hour", 3600)):
        number = per_second * seconds
        if number >= 0.995 or (seconds == 3600 and number > 0):
            return f"{number:,.0f} {unit}" if number >= 9.95 else f"{number:.2g} {unit}"
    return "none"


def per_second(number: float) -> str:
    """Return jobs per second for a column that says so: "1,204", "38.1", "0.1", "0"."""
    if number <= 0:
        return "0"
    if number < 0.05:
        return "< 0.1"
    return f"{number:,.0f}" if number >= 999.5 else f"{number:,.1f}"


def ago(at: datetime, now: datetime) -> str:
    """Return how long an instant is past, or how far ahead: "3 min ago", "in 5 h"; after 60 days the date."""
    seconds = (now - at).total_seconds()
    if abs(seconds) >= 60 * 86400:
        return f"{at:%d %b %Y}".lstrip("0")
    if abs(seconds) < 0.95:
        return "now"
    span = duration(round(abs(seconds))).replace(".0 s", " s")
    return f"{span} ago" if seconds > 0 else f"in {span}"


def exact(at: datetime) -> str:
    """Return an instant in full: "2026-11-23 12:29:04 UTC"."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(at: datetime) -> str:
    """Return an instant as machines read it: "2026-11-23T12:29:04.120Z"."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime) -> str:
    """Return the time of day: "12:29:04 UTC"."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"


def size(number: int) -> str:
    """Return a number of bytes: "842 B", "64 KB", "1.2 MB"."""
    if number < 1000:
        return f"{number} B"
    amount = float(number)
    for unit in ("KB", "MB", "GB"):
        amount /= 1000
        if amount < 999.5 or unit == "GB":
            return f"{amount:,.0f} {unit}" if amount >= 9.95 else f"{amount:.1f} {unit}"
    raise AssertionError("the last unit takes every number")


def short(job_id: str) -> str:
    """Return an id that can be told from its neighbours; those made in one second differ at the end."""
    return job_id if len(job_id) <= _LONG_ID else f"{job_id[:8]}…{job_id[-4:]}"


def message(error: str, kind: str) -> str:
    """Return an error without the kind that it begins with."""
    return error.removeprefix(kind).removeprefix(":").lstrip() if error.startswith(kind) else error


FILTERS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        count, brief, capped, plural, duration, rate, per_second,
        ago, exact, iso, clock, size, short, message, frames,
    )
}  # fmt: skip
"""The filters by the name that templates use."""
