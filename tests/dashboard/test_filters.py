"""`FilterForm`: what was typed, checked, and back again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lagoqueue.errors import InvalidValue
from lagoqueue.failure import Failure
from lagoqueue.monitor import FailedFilter
from lagoqueue_dashboard.filters import WITHIN, FilterForm
from tests.dashboard.visits import MOUNT, Visitor, served
from tests.dashboard.worlds import DETAILED_WORLDS, World


def test_all_fields() -> None:
    given = {"queue": "mail", "name": "Welcome", "kind": "ValueError", "text": "no such", "within": "day", "id": "f1"}
    form = FilterForm.parse({**given, "other": "x"})
    assert form.query == given
    meant = form.meant()
    assert (meant.queue, meant.name, meant.kind, meant.text, meant.ids) == (
        "mail", "Welcome", "ValueError", "no such", ("f1",),
    )  # fmt: skip


def test_nothing_given_means_all() -> None:
    form = FilterForm.parse({"queue": "", "text": "   "})
    assert (form.query, form.meant()) == ({}, FailedFilter())


@pytest.mark.parametrize("within", WITHIN)
def test_how_far_back(within: str) -> None:
    since = FilterForm.parse({"within": within}).meant().since
    assert since is not None
    assert timedelta() <= datetime.now(UTC) - WITHIN[within] - since < timedelta(minutes=1, seconds=5)
    assert (since.second, since.microsecond) == (0, 0)


def test_an_end() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert FilterForm().meant(until).until == until
    with pytest.raises(InvalidValue, match="since must be before until"):
        FilterForm(within="hour").meant(until)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("within", "month", "within"),
        ("queue", "l" * 101, "queue"),
        ("name", "n" * 201, "name"),
        ("kind", "\0", "kind"),
        ("text", "t" * 8193, "text"),
        ("id", "i" * 201, "id"),
        ("text", "\ud800", "text"),
    ],
)
def test_what_applies_to_nothing(field: str, value: str, named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        FilterForm.parse({field: value})


def test_what_is_typed_may_have_spaces_around_it() -> None:
    assert FilterForm.parse({"text": " no such ", "id": "\tf1 "}).query == {"text": "no such", "id": "f1"}


@DETAILED_WORLDS
@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("Welcome", "ValueError", "mail"),
        (" Welcome ", " odd.Kind ", " mail "),
        ("a&b=c", "K?#%41", "a/b+c"),
        ("a\nb", "K\r\nL", "c\td"),
        ("\u202eab", "\u202ecd", "\ufeffx"),
    ],
)
async def test_the_links_of_a_group_mean_the_group(world: World, name: str, kind: str, label: str) -> None:
    await world.fail("f1", "f2", name=name, label=label, error=Failure(kind, f"{kind}: no"))
    await world.fail("f3", name="Other", error=KeyError("x"))
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page("/failed")
        (link,) = {url for url in page.urls if "view=jobs&" in url and "Other" not in url}
        found = (await visitor.client.get(link.replace(f"{MOUNT}/", f"{MOUNT}/api/"))).json()
        assert sorted(view["id"] for view in found["jobs"]) == ["f1", "f2"]
        (retry,) = {url for url in page.urls if "action=retry" in url and "name=" in url and "Other" not in url}
        confirm = (await visitor.client.get(retry.replace(f"{MOUNT}/", f"{MOUNT}/api/"))).json()
        assert (confirm["count"], confirm["form"]["name"], confirm["form"]["kind"]) == (2, name, kind)
        assert (await visitor.json("/api/failed", queue=label))["total"] == 2
