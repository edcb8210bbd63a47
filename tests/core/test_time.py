"""Durations and instants at the public edge."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lagoqueue import InvalidValue
from lagoqueue._time import MAX_SECONDS, to_seconds, to_utc


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (1.5, 1.5), (timedelta(minutes=2), 120.0), (MAX_SECONDS, MAX_SECONDS), (timedelta(0), 0.0)],
)
def test_seconds_and_timedeltas_are_taken(value: float | timedelta, seconds: float) -> None:
    assert to_seconds(value, "delay") == seconds


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        math.nan,
        math.inf,
        -math.inf,
        1e300,
        10**400,
        timedelta(days=-1),
        timedelta.max,
        True,
        "5",
        None,
        [1],
    ],
)
def test_what_is_no_sane_duration_is_refused_by_name_and_value(value: Any) -> None:
    with pytest.raises(InvalidValue, match="delay must be") as caught:
        to_seconds(value, "delay")
    assert repr(value)[:20] in str(caught.value)


def test_a_positive_duration_must_be_above_zero() -> None:
    with pytest.raises(InvalidValue, match="above 0"):
        to_seconds(0, "poll", positive=True)


def test_aware_datetimes_become_utc() -> None:
    here = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert to_utc(here, "at") == datetime(2026, 3, 1, 7, tzinfo=UTC)
    assert to_utc(here, "at").tzinfo is UTC


NAIVE = datetime(2026, 3, 1)  # noqa: DTZ001


@pytest.mark.parametrize("value", [NAIVE, "2026-03-01", 5, datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))])
def test_naive_and_impossible_instants_are_refused(value: Any) -> None:
    with pytest.raises(InvalidValue, match=r"^at "):
        to_utc(value, "at")
