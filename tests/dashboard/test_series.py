"""`Series`: a history as lines, however long it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lagoqueue.monitor import Durations, ThroughputPoint
from lagoqueue.monitor.durations import SLOTS
from lagoqueue_dashboard.look.charts import chart
from lagoqueue_dashboard.series import MOST_POINTS, all_series, durations, merged, throughput

START = datetime(2026, 1, 1, tzinfo=UTC)


def taken(slot: int, number: int = 1) -> Durations:
    return Durations(tuple(number if place == slot else 0 for place in range(SLOTS)))


def points(number: int, step: int = 10, **counted: Any) -> list[ThroughputPoint]:
    return [ThroughputPoint(START + timedelta(seconds=step * place), **counted) for place in range(number)]


@pytest.mark.parametrize("number", [0, 1])
def test_too_little_for_a_line(number: int) -> None:
    assert throughput(points(number), "hour") is None
    assert durations(points(number), "run", "Run time", "hour") is None
    assert all_series(points(number), "hour") == ()


def test_rates() -> None:
    series = throughput(points(6, processed=20, failed=5), "hour")
    assert series is not None
    assert (series.title, series.unit, series.step) == ("Jobs a second, last hour", "jobs/s", 10)
    assert [(line.name, line.values, line.bad) for line in series.lines] == [
        ("finished", (2.0,) * 6, False),
        ("failed", (0.5,) * 6, True),
    ]
    assert series.at == tuple(point.at for point in points(6))


@pytest.mark.parametrize("number", [2, MOST_POINTS - 1, MOST_POINTS, MOST_POINTS + 1, 288, 360, 1000])
def test_points_are_put_together_without_changing_the_rate(number: int) -> None:
    series = throughput(points(number, processed=30), "day")
    assert series is not None
    assert 2 <= len(series.at) <= MOST_POINTS
    assert set(series.lines[0].values) == {3.0}
    assert timedelta() < START + timedelta(seconds=10 * number) - series.at[-1] <= timedelta(seconds=series.step)
    assert {later - at for at, later in zip(series.at, series.at[1:], strict=False)} == {timedelta(seconds=series.step)}


@pytest.mark.parametrize(("number", "step"), [(360, 10), (288, 300)])
def test_a_refreshed_chart_shows_the_same_peaks(number: int, step: int) -> None:
    history = [
        ThroughputPoint(point.at, processed=place * place % 97, run=taken(place % SLOTS))
        for place, point in enumerate(points(number + 5, step))
    ]

    def seen(first: int) -> list[tuple[Any, ...]]:
        rates, times, _ = all_series(history[first : first + number], "hour")
        assert rates.at == times.at
        assert len(rates.at) <= MOST_POINTS
        return list(zip(rates.at, *(line.values for line in (*rates.lines, *times.lines)), strict=True))

    before = seen(0)
    for moved in range(1, 6):
        assert len(set(before) & set(seen(moved))) >= len(before) - 3


def test_the_newest_points_have_their_rate_before_their_group_is_full() -> None:
    series = throughput(points(361, processed=30), "hour")
    assert series is not None
    assert series.at[-1] == START + timedelta(seconds=3600)
    assert series.lines[0].values[-1] == 3.0


def test_durations_have_gaps_where_nothing_was_done() -> None:
    history = points(3)
    history[1] = ThroughputPoint(history[1].at, run=taken(9, 100))
    series = durations(history, "run", "Run time", "hour")
    assert series is not None
    median, high = series.lines
    assert (median.values[0], median.values[2], high.values[0]) == (None, None, None)
    assert median.values[1] == taken(9, 100).percentile(0.5)
    assert high.values[1] == taken(9, 100).percentile(0.95)


def test_durations_of_several_points_are_those_of_all_their_jobs() -> None:
    history = [ThroughputPoint(START, wait=taken(3, 9)), ThroughputPoint(START, wait=taken(12, 1))]
    together = merged(history, "wait")
    assert together.total == 10
    assert together == taken(3, 9) + taken(12, 1)


def test_all_of_them_can_be_drawn() -> None:
    series = all_series([ThroughputPoint(point.at, 1, 2, 3, 4, taken(3), taken(5)) for point in points(360)], "hour")
    assert [each.title for each in series] == [
        "Jobs a second, last hour", "Run time, last hour", "Waiting time, last hour",
    ]  # fmt: skip
    assert not any(chart(each).empty for each in series)
    assert chart(all_series(points(360), "hour")[1]).empty
