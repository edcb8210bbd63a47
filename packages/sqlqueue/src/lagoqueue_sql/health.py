"""What can go wrong in a queue's database: each check is one bounded look, and says in words what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from lagoqueue.errors import DriverError
from lagoqueue.monitor import COUNT_CAP, HealthCheck
from lagoqueue_sql.link import Link
from lagoqueue_sql.rows import duration
from lagoqueue_sql.statements_looking import LookingStatements, store_time

SLOW, TOO_SLOW = 0.05, 0.5
"""Seconds for a round trip."""

OVERDUE, LONG_OVERDUE = 30.0, 600.0
"""Seconds that an expired reservation has not been taken back; a worker that looks does so within some five."""

OPEN_LONG, OPEN_TOO_LONG = 300.0, 3_600.0
"""Seconds that a transaction has been open."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Check(NamedTuple):
    """One thing to look at.

    Attributes:
        name: As `HealthCheck` has it.
        look: Looks, with the caller's time in microseconds for stores without a clock.
    """

    name: str
    look: Callable[[Link, LookingStatements, int], HealthCheck]

    def failed(self, error: DriverError) -> HealthCheck:
        """Return what to say when the database refused, or did not answer in time."""
        if self is ROUND_TRIP:
            remedy = "See that the server runs, that this process reaches it, and that `setup` was run."
            return HealthCheck(self.name, "bad", f"The database does not answer: {error}.", remedy)
        return HealthCheck(
            self.name,
            "warn",
            f"This could not be looked at: {error}.",
            "Try again later; the message says what failed.",
        )


def spoken(seconds: float) -> str:
    """Return a duration as one says it: "25 minutes"."""
    for unit, name in _UNITS:
        if seconds >= unit:
            number = int(seconds // unit)
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return "less than a second"


# --- In every database --------------------------------------------------------------------------------


def _round_trip(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    taken: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        store_time(link, sql, own)
        taken.append(time.perf_counter() - began)
    return round_trip_of(min(taken))


def round_trip_of(seconds: float) -> HealthCheck:
    """Return the verdict on the time that a round trip takes."""
    took = f"{1000 * seconds:.2g} ms" if seconds >= 0.0001 else "less than 0.1 ms"
    finding = f"The database answers in {took}."
    if seconds < SLOW:
        return HealthCheck(ROUND_TRIP.name, "good", finding)
    remedy = (
        "Every claim and every settlement takes a round trip. Move the workers closer to the database, "
        "or see what keeps its server busy."
    )
    return HealthCheck(ROUND_TRIP.name, "warn" if seconds < TOO_SLOW else "bad", finding, remedy)


ROUND_TRIP = Check("Round trip", _round_trip)


def _expired(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    now = store_time(link, sql, own)
    ((count, first),) = link.rows(sql.expired, {"until": now - duration(OVERDUE), "limit": COUNT_CAP})
    if not count:
        return HealthCheck(EXPIRED.name, "good", "No job is held by a reservation that ran out.")
    overdue = (now - first) / 1_000_000
    number = (
        f"{count:,} or more jobs are" if count == COUNT_CAP else "1 job is" if count == 1 else f"{count:,} jobs are"
    )
    return HealthCheck(
        EXPIRED.name,
        "warn" if overdue < LONG_OVERDUE else "bad",
        f"{number} held by reservations that ran out, the first {spoken(overdue)} ago, and nobody has taken them back.",
        "Start a worker on this queue: whichever labels it serves, it takes them back within seconds.",
    )


EXPIRED = Check("Expired reservations", _expired)

CHECKS = (ROUND_TRIP, EXPIRED)
"""The first tells whether it is worth making the others."""
