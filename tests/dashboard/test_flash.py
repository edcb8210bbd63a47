"""What is said once on the page after, and the theme: both are cookies, which anybody can write."""

from __future__ import annotations

import pytest

from lagoqueue_dashboard import flash, theme
from lagoqueue_dashboard.actions import Done
from tests.dashboard.visits import MOUNT, Visitor, served
from tests.dashboard.worlds import World


@pytest.mark.parametrize(
    ("action", "done", "tone", "text"),
    [
        ("retry", Done(1), "good", "1 job was put back in the queue."),
        ("retry", Done(1200), "good", "1,200 jobs were put back in the queue."),
        ("forget", Done(2), "good", "2 jobs were forgotten."),
        ("flush", Done(0), "good", "0 jobs were forgotten."),
        ("retry", Done(0, 1), "warn", "1 job was left: a job with the same id is waiting or running."),
        ("retry", Done(0, 2), "warn", "2 jobs were left: jobs with the same ids are waiting or running."),
        ("forget", Done(1, 0, 2), "warn", "1 job was forgotten. 2 jobs were no longer there."),
    ],
)
def test_the_sentence(action: str, done: Done, tone: str, text: str) -> None:
    assert flash.said(action, done) == flash.Flash(tone, text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "", "retry", "retry.1", "retry.1.2", "retry.1.2.3.4", "delete.1.0.0", "retry.-1.0.0", "retry.1.0.x", "retry...",
        "retry.1e3.0.0", "retry.\xb2.0.0", "<b>.1.0.0", f"retry.{'9' * 5000}.0.0", "retry.1.0.0\x00", "retry.+1.0.0",
    ],
)  # fmt: skip
async def test_a_forged_cookie_says_nothing(world: World, value: str) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        headers = [(b"Cookie", f"{flash.COOKIE}={value}; {theme.COOKIE}={value}".encode("latin-1"))]
        answer = await visitor.get("/failed", headers=headers)
    assert answer.status_code == 200
    assert 'class="flash' not in answer.text
    assert "data-theme" not in answer.text


async def test_it_is_said_once(world: World) -> None:
    await world.fail("f1")
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/f1/forget")
        (cookie,) = (each for each in answer.headers.get_list("Set-Cookie") if flash.COOKIE in each)
        assert {"HttpOnly", "SameSite=Strict", f"Path={MOUNT}", "Max-Age=60"} <= set(cookie.split("; "))
        await visitor.json("/api/failed")
        await visitor.json("/api/live/failed")
        assert "1 job was forgotten." in (await visitor.page("/health")).text
        assert "1 job was forgotten." not in (await visitor.page("/health")).text


@pytest.mark.parametrize(("value", "kept"), [("dark", "dark"), ("light", "light"), ("auto", None)])
async def test_a_theme_is_kept_and_the_same_page_shown(world: World, value: str, kept: str | None) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/theme", theme=value, page="failed", query="view=jobs&kind=A+B&x=y")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{MOUNT}/failed?kind=A+B&view=jobs")
        html = next(each for tag, each in (await visitor.page("/failed")).elements if tag == "html")
        assert html.get("data-theme") == kept


@pytest.mark.parametrize(
    ("page", "query", "location"),
    [
        ("", "", "/"),
        ("nope", "view=jobs", "/"),
        ("theme", "", "/"),
        ("failed", "_external=1&_scheme=javascript&_anchor=x&endpoint=y", "/failed"),
        ("queue", "name=a%26b%3Dc", "/queue?name=a%26b%3Dc"),
        ("failed", "&".join(f"x{number}=1" for number in range(100)), "/failed"),
        ("//evil.example", "", "/"),
        ("workers", "\0\ud7ff%ff%zz", "/workers"),
    ],
)
async def test_a_theme_leads_to_no_other_place(world: World, page: str, query: str, location: str) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/theme", theme="dark", page=page, query=query)
    assert (answer.status_code, answer.headers["Location"]) == (303, MOUNT + location)


@pytest.mark.parametrize("value", ["", "blue", "DARK", "dark; Path=/", "x" * 5000])
async def test_a_theme_that_is_none(world: World, value: str) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/theme", theme=value)
    assert answer.status_code == 400
    assert not any(theme.COOKIE in cookie for cookie in answer.headers.get_list("Set-Cookie"))
