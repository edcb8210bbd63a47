"""`FailedFilter`: what it refuses, so that no action on many means more than was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import FailedFilter

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("field", ["queue", "name", "kind", "text"])
@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", "x" * 10_000, 5])
def test_a_text_that_no_store_can_hold_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=field):
        FailedFilter(**{field: value})


@pytest.mark.parametrize("ids", [(), [], "abc", 5, ("",), ("a\0",), (5,), (["a"],), tuple(map(str, range(1_001)))])
def test_ids_are_one_to_a_thousand_texts(ids: Any) -> None:
    with pytest.raises(InvalidValue, match="id"):
        FailedFilter(ids=ids)


def test_ids_are_kept_once_each() -> None:
    assert FailedFilter(ids=("b", "a", "b")).ids == ("b", "a")


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize("value", [datetime(2026, 1, 2), "2026-01-02", 5])  # noqa: DTZ001 - naive on purpose
def test_instants_are_aware(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=field):
        FailedFilter(**{field: value})


def test_instants_become_utc() -> None:
    since = AT.astimezone(timezone(timedelta(hours=2)))
    assert FailedFilter(since=since).since == AT
    assert str(FailedFilter(since=since).since) == "2026-01-02 00:00:00+00:00"


def test_a_range_of_no_time_is_refused() -> None:
    with pytest.raises(InvalidValue, match="since must be before until"):
        FailedFilter(since=AT, until=AT)
