"""From the rows of a table to jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue import Job
from lagoqueue._rows import from_micros, reserved_jobs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back_exactly(instant: datetime) -> None:
    assert from_micros((instant - EPOCH) // MICROSECOND) == instant


@pytest.mark.parametrize(
    "day", ["0001-01-01", "1899-12-31", "1900-03-01", "2000-02-29", "2000-03-01", "2100-02-28", "9999-12-31"]
)
def test_the_edges_of_a_day_come_back_exactly(day: str) -> None:
    begin = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    end = begin.replace(hour=23, minute=59, second=59, microsecond=999_999)
    for instant in (begin, end):
        assert from_micros((instant - EPOCH) // MICROSECOND) == instant


@pytest.mark.parametrize("micros", [FIRST - 1, LAST + 1, 2**63 - 1, -(2**63)])
def test_an_instant_that_no_datetime_names_is_refused(micros: int) -> None:
    with pytest.raises(OverflowError):
        from_micros(micros)


def test_a_row_becomes_a_job_with_its_receipt() -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    micros = (at - EPOCH) // MICROSECOND
    rows = [
        ("a", "Send", b"{}", 1, micros, "mail", -3, "{}", 7, micros + 1),
        ("b", "Säen", b"[]", 2, micros, "default", 0, '{"trace":"ü"}', 2**62, micros + 1),
    ]
    assert reserved_jobs(rows, "f00") == [
        Job("a", "Send", b"{}", 1, at, "mail", -3, {}, "7-f00"),
        Job("b", "Säen", b"[]", 2, at, "default", 0, {"trace": "ü"}, f"{2**62}-f00"),
    ]


def test_jobs_share_no_headers() -> None:
    row = ("a", "Send", b"{}", 1, 0, "default", 0, "{}", 7)
    one, other = reserved_jobs([row, row], "t")
    one.headers["mine"] = "yes"
    assert other.headers == {}


def test_a_row_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="9 columns"):
        reserved_jobs([("a", "Send")], "t")
