"""The wait between attempts."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from lagoqueue import InvalidValue, Job, exponential
from lagoqueue.backoff import to_policy, wait_after


def attempt(number: int) -> Job:
    return Job("id", "Name", b"{}", attempts=number)


def test_exponential_doubles_up_to_its_cap() -> None:
    policy = exponential(base=2, cap=timedelta(seconds=15), jitter=0)
    assert [policy(attempt(n)) for n in range(1, 7)] == [2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize("attempts", [0, 310, 10**6, 2**31])
def test_exponential_never_overflows(attempts: int) -> None:
    wait = exponential(base=5, cap=3600)(attempt(attempts))
    assert isinstance(wait, float)
    assert 5 <= wait <= 3600 * 1.2


def test_jitter_only_adds_and_spreads() -> None:
    policy = exponential(base=10, cap=100, jitter=0.5)
    waits = [policy(attempt(1)) for _ in range(200)]
    assert all(isinstance(wait, float) and 10 <= wait <= 15 for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize(
    "settings",
    [{"base": -1}, {"cap": math.nan}, {"jitter": 2}, {"jitter": -0.1}, {"jitter": math.nan}, {"jitter": "x"}],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        exponential(**settings)


def test_a_duration_is_a_constant_policy() -> None:
    assert to_policy(timedelta(seconds=30))(attempt(9)) == 30.0
    with pytest.raises(InvalidValue, match="backoff"):
        to_policy(-1)


@pytest.mark.parametrize("result", [-1, math.nan, math.inf, "soon", None])
def test_a_policy_that_gives_nonsense_falls_back(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert 5 <= wait_after(lambda job: result, attempt(1)) <= 6
    assert "the default one is used" in caplog.text


def test_a_policy_that_raises_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    def broken(job: Job) -> float:
        raise ZeroDivisionError

    assert 5 <= wait_after(broken, attempt(1)) <= 6
    assert "ZeroDivisionError" in caplog.text
