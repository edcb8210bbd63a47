"""`Durations`: percentiles within the slot of the exact ones, and merging that is counting together."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import BOUNDS, Durations
from lagoqueue.monitor.durations import SLOTS, slot_of

SECONDS = st.floats(min_value=0.0, max_value=200_000.0) | st.sampled_from(BOUNDS)
SHARE = st.floats(min_value=0.0, max_value=1.0)


def durations(values: list[float]) -> Durations:
    counts = [0] * SLOTS
    for value in values:
        counts[slot_of(value)] += 1
    return Durations(tuple(counts))


def exact(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def test_bounds_grow_from_a_millisecond_to_a_day_by_no_more_than_a_factor_of_two_and_a_half() -> None:
    assert (BOUNDS[0], BOUNDS[-1]) == (0.001, 86_400.0)
    assert all(1.5 < after / before <= 2.5 + 1e-9 for before, after in pairwise(BOUNDS))


@given(st.lists(SECONDS, min_size=1), SHARE)
def test_a_percentile_lies_in_the_slot_of_the_exact_one(values: list[float], share: float) -> None:
    found = durations(values).percentile(share)
    assert found is not None
    expected = exact(values, share)
    if expected > BOUNDS[-1]:
        assert found == BOUNDS[-1]
        return
    slot = slot_of(expected)
    lower = BOUNDS[slot - 1] if slot else 0.0
    assert lower <= found <= BOUNDS[slot]
    if slot:
        assert max(found / expected, expected / found) <= 2.5 + 1e-9


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_merging_is_counting_together(some: list[float], others: list[float]) -> None:
    assert durations(some) + durations(others) == durations(some + others)
    assert durations(some).total == len(some)


@given(st.lists(SECONDS, min_size=1), SHARE, SHARE)
def test_a_larger_share_takes_no_less_time(values: list[float], one: float, other: float) -> None:
    found = durations(values)
    less, more = found.percentile(min(one, other)), found.percentile(max(one, other))
    assert less is not None
    assert more is not None
    assert less <= more


def test_within_a_slot_they_are_spread_evenly_on_a_logarithmic_scale() -> None:
    same = durations([1.5] * 100)
    assert same.percentile(0.505) == pytest.approx(math.sqrt(2.0), rel=0.01)
    assert same.percentile(0.0) == pytest.approx(1.0, rel=0.01)
    assert same.percentile(1.0) == pytest.approx(2.0, rel=0.01)
    assert durations([0.0] * 100).percentile(0.5) == pytest.approx(
        0.0005, rel=0.02
    )  # below all bounds by a straight line


def test_a_bound_belongs_to_the_slot_that_it_ends() -> None:
    assert [slot_of(seconds) for seconds in (-5.0, 0.0, 0.001, 0.0010001, 86_400.0, 86_400.1, math.inf)] == [
        *(0, 0, 0, 1),
        *(SLOTS - 2, SLOTS - 1, SLOTS - 1),
    ]


def test_of_nothing_there_is_no_percentile() -> None:
    assert Durations().percentile(0.5) is None
    assert Durations().total == 0
    assert Durations() + Durations() == Durations()


@pytest.mark.parametrize("share", [-0.01, 1.01, 95, math.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(InvalidValue, match="share must be from 0 to 1"):
        durations([1.0]).percentile(share)


def test_another_number_of_slots_is_refused() -> None:
    with pytest.raises(InvalidValue, match="26 numbers, one for each slot, not 3"):
        Durations((1, 2, 3))


def test_it_goes_through_json() -> None:
    found = durations([0.1, 5.0, 1e9])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Durations) == found
