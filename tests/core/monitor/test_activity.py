"""The parts of a window: equal ones, which lose nothing that was counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lagoqueue.monitor.activity import PARTS, in_parts, spread
from lagoqueue.monitor.points import DAY, buckets

NOW = 1_700_000_123.0


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=400))
def test_parts_add_up_to_all_that_was_counted(counts: list[int]) -> None:
    parts = spread(counts)
    assert len(parts) == PARTS
    assert sum(parts) == sum(counts)
    assert all(part >= 0 for part in parts)


@given(st.integers(1, 400), st.integers(0, 1_000))
def test_what_comes_evenly_is_shown_evenly(stretches: int, count: int) -> None:
    parts = spread([count] * stretches)
    assert max(parts) - min(parts) <= 2  # by rounding, and never by where the borders lie


def test_parts_that_hold_whole_stretches_have_their_sums() -> None:
    assert spread(list(range(60))) == tuple(4 * part + 1 for part in range(PARTS))
    assert spread([3, *[0] * 29]) == (3, *[0] * 29)


@given(st.integers(1, DAY))
def test_counts_are_found_by_where_their_bucket_begins(minutes: int) -> None:
    window = buckets(NOW, minutes)
    assert sum(in_parts(window, dict.fromkeys(window, 7))) == 7 * len(window)
    assert in_parts(window, {window.start - window.step: 5, window.stop: 5}) == (0,) * PARTS
    newest = in_parts(window, {window[-1]: 30 * len(window)})
    assert newest[-1] > 0
    assert newest[0] == 0 or len(window) < PARTS
