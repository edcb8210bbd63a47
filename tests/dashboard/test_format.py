from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue_dashboard.look import format

NOW = datetime(2026, 11, 23, 12, 29, 4, 120_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (184_203, "184,203"), (9_999_999, "9,999,999"), (12_345_678, "12.3 M"), (9_876_543_210, "9.9 bn")],
)
def test_a_large_figure_stays_short(number: int, text: str) -> None:
    assert format.brief(number) == text


def test_a_count_that_stopped_says_so() -> None:
    assert format.capped(9_999) == "9,999"
    assert format.capped(10_000) == "10,000+"
    assert format.capped(10_000, more=False) == "10,000"
    assert format.capped(27, more=True) == "27+"


def test_what_is_counted_agrees_with_its_number() -> None:
    assert format.plural(1, "job") == "1 job"
    assert format.plural(0, "job") == "0 jobs"
    assert format.plural(1, "job", more=True) == "1+ jobs"
    assert format.plural(10_000, "failed job", more=True) == "10,000+ failed jobs"
    assert format.plural(2, "reply", "replies") == "2 replies"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (0.0001, "< 1 ms"),
        (0.0412, "41 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (8.24, "8.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (290, "4 min"),
        (3599.4, "59 min"),
        (3600, "1 h"),
        (2 * 86400 - 1, "47 h"),
        (2 * 86400, "2 days"),
        (86400 * 4000, "4,000 days"),
    ],
)
def test_a_time_span_has_one_unit(seconds: float, text: str) -> None:
    assert format.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e9))
def test_every_time_span_is_close_to_what_is_said_of_it(seconds: float) -> None:
    said = format.duration(seconds)
    found = re.fullmatch(r"(?:< )?([\d,.]+) (ms|s|min|h|days)", said)
    assert found is not None, said
    unit = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "days": 86400}[found[2]]
    assert abs(float(found[1].replace(",", "")) * unit - seconds) <= max(unit, 0.001) + 0.51


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (52.1, "52 a second"),
        (1.6, "1.6 a second"),
        (1234.5, "1,234 a second"),
        (0.07, "4.2 a minute"),
        (0.012, "43 an hour"),
        (0.0, "none"),
    ],
)
def test_a_rate_takes_the_unit_that_suits(per_second: float, text: str) -> None:
    assert format.rate(per_second) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.01, "< 0.1"), (0.1, "0.1"), (38.14, "38.1"), (999.4, "999.4"), (1204.2, "1,204")]
)
def test_a_column_of_rates_has_one_decimal(number: float, text: str) -> None:
    assert format.per_second(number) == text


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=2), "2 s ago"),
        (timedelta(seconds=9, milliseconds=600), "10 s ago"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=5), "5 h ago"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=-3), "in 3 days"),
        (timedelta(seconds=-7), "in 7 s"),
        (timedelta(days=300), "27 Jan 2026"),
    ],
)
def test_an_instant_is_said_as_people_say_it(back: timedelta, text: str) -> None:
    assert format.ago(NOW - back, NOW) == text


def test_the_exact_time_is_in_utc() -> None:
    at = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format.exact(at) == "2026-11-23 12:29:04 UTC"
    assert format.iso(at) == "2026-11-23T12:29:04.120Z"
    assert format.clock(at) == "12:29:04 UTC"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_200, "1.2 KB"), (64_000, "64 KB"), (999_600, "1.0 MB"), (5 * 10**12, "5,000 GB")],
)
def test_a_size_has_two_digits(number: int, text: str) -> None:
    assert format.size(number) == text


def test_a_long_id_keeps_the_end_that_tells_it_apart() -> None:
    assert format.short("019362f0-7a1c-7c31-9b1e-000000007c31") == "019362f0…7c31"
    assert format.short("order-42") == "order-42"


def test_an_error_is_shown_without_its_kind() -> None:
    assert format.message("ValueError: no such user", "ValueError") == "no such user"
    assert format.message("ValueError", "ValueError") == ""
    assert format.message("no such user", "ValueError") == "no such user"


def test_each_filter_has_the_name_that_templates_use() -> None:
    assert all(function.__name__ == name for name, function in format.FILTERS.items())
