from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue_dashboard.look.charts import HEIGHT, WIDTH, Chart, chart, spark
from lagoqueue_dashboard.look.scales import linear, spans, times
from lagoqueue_dashboard.series import Line, Series

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


def series(*values: float | None, unit: str = "jobs/s", step: int = 60, **more: tuple[float | None, ...]) -> Series:
    at = tuple(NOON + timedelta(seconds=step * index) for index in range(len(values)))
    lines = (Line("finished", values), *(Line(name, each, bad=name == "failed") for name, each in more.items()))
    return Series("Jobs a second", unit, at, step, lines)


def corners(path: str) -> list[tuple[float, float]]:
    """Return the points of a path, in units of the drawing."""
    found = [float(number) for number in NUMBERS.findall(path.replace("h.01", ""))]
    return list(zip(found[::2], found[1::2], strict=True))


def test_a_line_is_drawn_where_its_values_are() -> None:
    drawn = chart(series(0.0, 5.0, 10.0))
    assert corners(drawn.strokes[0].path) == [(0, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH, 0)]
    assert corners(drawn.strokes[0].area)[-2:] == [(WIDTH, HEIGHT), (0, HEIGHT)]
    assert [(tick.at, tick.text) for tick in drawn.y] == [(0.2, "2"), (0.4, "4"), (0.6, "6"), (0.8, "8"), (1.0, "10")]


def test_a_gap_stays_a_gap_and_a_lonely_point_is_a_dot() -> None:
    path = chart(series(1.0, 2.0, None, 3.0, None, 1.0, 1.0)).strokes[0].path
    assert path.count("M") == 3
    assert path.count("h.01") == 1


def test_one_point_is_drawn() -> None:
    drawn = chart(series(4.0))
    assert corners(drawn.strokes[0].path)[0][0] == WIDTH
    assert [tick.text for tick in drawn.x] == ["12:00"]


def test_nothing_to_draw_is_said() -> None:
    for nothing in (series(), series(None, None), series(float("nan"), float("inf"))):
        drawn = chart(nothing)
        assert drawn.empty
        assert drawn.words == "Nothing is known of this time."


def test_zeros_lie_on_the_ground() -> None:
    for unit in ("jobs/s", "s"):
        drawn = chart(series(0.0, 0.0, unit=unit))
        assert {y for _, y in corners(drawn.strokes[0].path)} == {HEIGHT}
    assert "Finished: none." in chart(series(0.0, 0.0)).words


def test_failures_are_told_apart() -> None:
    drawn = chart(series(9.0, 8.0, failed=(0.5, 0.6), slow=(1.0, 1.0)))
    assert [stroke.look for stroke in drawn.strokes] == ["main", "bad", "other"]
    assert [bool(stroke.area) for stroke in drawn.strokes] == [True, False, False]
    assert [stroke.last for stroke in drawn.strokes] == ["8.0", "0.6", "1.0"]


def test_the_words_tell_the_figures() -> None:
    drawn = chart(series(18.0, 52.0, 61.2, failed=(0.0, 9.0, 1.0)))
    assert drawn.words == (
        "From 12:00 to 12:02 UTC. Finished: lowest 18, median 52, highest 61 jobs/s. Failed: lowest 0, median 1.0, highest 9.0 jobs/s."
    )
    assert drawn.spots[1].text == "12:01 UTC: finished 52 jobs/s, failed 9.0 jobs/s"
    waits = chart(series(0.02, None, 90.0, unit="s"))
    assert waits.words == "From 12:00 to 12:02 UTC. Finished: lowest 20 ms, median 45 s, highest 1 min."
    assert waits.spots[1].text == "12:01 UTC: finished not known"


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), max_size=300),
    st.sampled_from(["jobs/s", "s"]),
    st.sampled_from([1, 10, 300]),
)
def test_whatever_the_values_the_drawing_stays_inside(values: list[float | None], unit: str, step: int) -> None:
    drawn = chart(series(*values, unit=unit, step=step))
    for stroke in drawn.strokes:
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in corners(stroke.path))
    assert_ticks(drawn)
    assert len(drawn.spots) == (0 if drawn.empty else len(values))


def assert_ticks(drawn: Chart) -> None:
    for ticks in (drawn.y, drawn.x):
        places = [tick.at for tick in ticks]
        assert places == sorted(places)
        assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
        assert len({tick.text for tick in ticks}) == len(ticks)
        assert drawn.empty or 1 <= len(ticks) <= 6


@pytest.mark.parametrize(
    ("most", "texts"),
    [
        (0.0, ["0.2", "0.4", "0.6", "0.8", "1"]),
        (0.03, ["0.01", "0.02", "0.03"]),
        (61.0, ["20", "40", "60", "80"]),
        (7_500.0, ["2,000", "4,000", "6,000", "8,000"]),
        (48_000.0, ["10 k", "20 k", "30 k", "40 k", "50 k"]),
        (3e9, ["1 bn", "2 bn", "3 bn"]),
    ],
)
def test_amounts_have_round_ticks(most: float, texts: list[str]) -> None:
    assert [tick.text for tick in linear([most]).ticks] == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.04, 0.09], ["20 ms", "50 ms", "100 ms"]),
        ([0.0, 0.0], ["1 ms", "2 ms"]),
        ([0.002, 5000.0], ["10 ms", "1 s", "1 min", "1 h"]),
        ([1e9], ["24 h", "2 days", "7 days"]),
    ],
)
def test_time_spans_have_ticks_that_people_know(values: list[float], texts: list[str]) -> None:
    assert [tick.text for tick in spans(values).ticks] == texts


def test_times_are_round() -> None:
    hour = times(NOON - timedelta(minutes=57), NOON + timedelta(minutes=3))
    assert [tick.text for tick in hour] == ["11:15", "11:30", "11:45", "12:00"]
    day = times(NOON - timedelta(hours=20), NOON)
    assert [tick.text for tick in day] == ["18:00", "23 Nov", "06:00", "12:00"]
    assert day[-1].at == 1


def test_a_sparkline_has_the_height_of_its_own_highest() -> None:
    drawn = spark((0, 5, 10))
    assert drawn is not None
    assert corners(drawn.path) == [(0.0, 22.5), (48.0, 12.0), (96.0, 1.5)]
    assert drawn.words == "15 finished, 10 at most and 10 at the end of 3 parts"
    flat = spark((0, 0))
    assert flat is not None
    assert flat.words == "none finished"
    assert spark(()) is None
