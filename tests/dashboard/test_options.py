"""What a dashboard may be told when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import MemoryInspector
from lagoqueue_dashboard import dashboard, options
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import World


def checked(**given: Any) -> options.Options:
    defaults: dict[str, Any] = {
        "title": "lagoqueue",
        "environment": "",
        "redact": None,
        "on_action": None,
        "long_wait": 60.0,
        "refresh": 5.0,
    }
    return options.checked(**{**defaults, **given})


def test_when_a_job_is_late() -> None:
    assert checked(long_wait=timedelta(minutes=2)).long_wait("mail") == 120.0
    by_label = checked(long_wait={"mail": 5, "bulk": timedelta(hours=1)})
    assert [by_label.long_wait(label) for label in ("mail", "bulk", "other")] == [5.0, 3600.0, options.LONG_WAIT]


@pytest.mark.parametrize("refresh", [1, 3600, timedelta(seconds=30)])
def test_how_often_a_page_refreshes_itself(refresh: Any) -> None:
    assert 1.0 <= checked(refresh=refresh).refresh <= 3600.0


@pytest.mark.parametrize(
    "given",
    [
        {"title": None},
        {"title": b"x"},
        {"environment": 5},
        {"redact": "password"},
        {"on_action": "log"},
        {"long_wait": 0},
        {"long_wait": -1},
        {"long_wait": float("nan")},
        {"long_wait": "60"},
        {"long_wait": {"mail": 0}},
        {"long_wait": None},
        {"refresh": 0.5},
        {"refresh": 3601},
        {"refresh": float("inf")},
        {"refresh": None},
    ],
)
def test_what_it_may_not_be_told(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(InvalidValue, match=name):
        dashboard(MemoryInspector(), **given)


async def test_title_and_environment_are_on_every_page(world: World) -> None:
    async with Visitor(served(world.inspector, title="Shop jobs", environment="production", refresh=30)) as visitor:
        for path, status in (("/", 200), ("/failed", 200), ("/job?id=nope", 404)):
            page = await visitor.page(path, status)
            assert "Shop jobs" in page.text
            assert "production" in page.text
        body = next(each for tag, each in (await visitor.page("/")).elements if tag == "body")
        assert float(body["data-every"]) == 30
