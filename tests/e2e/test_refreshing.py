"""An open page refreshes itself: while it is seen, not under the user's hands, and it says when it cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.shop import FAILED, FULL, ImportFile, PackParcel, SendWelcomeEmail, Shop
from tests.e2e.windows import Page, Windows, expect

JOBS = f"{FAILED}?view=jobs"
MINUTE = 60_000
LIVE = "**/queues/api/live/**"

TURN_HIDDEN = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


async def with_its_own_clock(page: Page, path: str) -> list[str]:
    """Go to a page for which time stands still until it is told; return the URLs of the refreshes that it asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/live/" in request.url else None)
    await page.clock.install()
    await page.goto(path)
    await page.clock.pause_at(await page.evaluate("Date.now() + 1000"))
    return asked


async def let_pass(page: Page, milliseconds: int) -> None:
    """Let the page's time pass; what it asked for meanwhile is known when this returns."""
    await page.clock.run_for(milliseconds)
    await page.evaluate("fetch('/queues/api/stats').then((answer) => answer.text())")


async def test_figures_change_without_a_reload(page: Page, shop: Shop) -> None:
    await page.goto(FULL)
    await page.evaluate("window.here = 'still'")
    await expect(page.get_by_role("heading", level=1)).to_have_text("No jobs yet")
    async with shop.working():
        await shop.dispatch(*[PackParcel(number) for number in range(3)])
        facts = page.locator("dl.facts")
        await expect(facts).to_contain_text("of 4 slots on 1 worker")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Work is flowing")
        await expect(facts.locator("div", has_text="Running").locator("dd")).to_contain_text("3")
        await shop.dispatch(ImportFile("if"))
        await expect(page.get_by_role("navigation", name="Sections").locator(".badge")).to_have_text("1")
        await expect(facts.locator("div", has_text="Failed").locator("dd")).to_contain_text("1")
    assert await page.evaluate("window.here") == "still"


async def test_what_is_ticked_stays_ticked(page: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await page.goto(JOBS)
    rows = page.get_by_role("main").get_by_role("listitem").filter(has_text="SendWelcomeEmail")
    await rows.get_by_role("checkbox").check()
    await expect(page.get_by_text("1 selected")).to_be_visible()
    await shop.fail(SendWelcomeEmail("bob@example.org"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 failed jobs")
    await expect(rows).to_have_count(1)
    await expect(rows.get_by_role("checkbox")).to_be_checked()
    await rows.get_by_role("checkbox").uncheck()
    await page.get_by_role("searchbox").focus()
    await expect(rows).to_have_count(2)


async def test_what_has_the_focus_keeps_it_and_what_was_typed_stays(page: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await page.goto(JOBS)
    await page.get_by_role("searchbox").fill("half a wo")
    link = page.get_by_role("link", name="SendWelcomeEmail")
    await link.focus()
    await shop.fail(SendWelcomeEmail("bob@example.org"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 failed jobs")
    await expect(link).to_be_focused()
    await page.get_by_role("searchbox").focus()
    await expect(link).to_have_count(2)
    await expect(page.get_by_role("searchbox")).to_have_value("half a wo")


async def test_a_page_says_that_it_holds_something_back_and_how_old_that_is(page: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await page.goto(JOBS)
    held, age, heading = page.get_by_text("a part that you use is held"), page.locator("#read-at"), page.locator("h1")
    await expect(age).to_have_text(re.compile("ago|now"))
    await expect(held).to_be_hidden()
    await page.get_by_role("link", name="SendWelcomeEmail").focus()
    await shop.fail(SendWelcomeEmail("bob@example.org"))
    await expect(held).to_be_visible()
    await expect(age).to_have_text(re.compile(r"\d:\d\d:\d\d"))
    shown = await age.inner_text()
    await expect(heading).to_have_text("2 failed jobs")
    await shop.fail(SendWelcomeEmail("cy@example.org"))
    await expect(heading).to_have_text("3 failed jobs")
    assert await age.inner_text() == shown
    await page.get_by_role("searchbox").focus()
    await expect(held).to_be_hidden()
    await expect(age).to_have_text(re.compile("ago|now"))


async def test_the_forms_of_an_open_page_get_new_tokens(page: Page, shop: Shop) -> None:
    await shop.fail(SendWelcomeEmail("ann@example.org"))
    await page.goto(JOBS)
    await page.evaluate("for (const field of document.getElementsByName('csrf_token')) field.value = 'of last night'")
    await shop.fail(ImportFile("if"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 failed jobs")
    await page.get_by_role("listitem").filter(has_text="ImportFile").get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("status")).to_have_text("1 job was put back in the queue.")


async def test_all_on_the_page_are_selected_at_once_and_counted(page: Page, shop: Shop) -> None:
    await shop.fail(*[SendWelcomeEmail(name) for name in "abc"])
    await page.goto(JOBS)
    boxes = page.locator(".pick input")
    await boxes.nth(1).check()
    await page.get_by_label("All on this page").check()
    await expect(page.get_by_text("3 selected")).to_be_visible()
    await boxes.nth(0).uncheck()
    await expect(page.get_by_text("2 selected")).to_be_visible()
    assert await page.get_by_label("All on this page").evaluate("(box) => box.indeterminate")
    await page.get_by_role("button", name="Retry…").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Retry 2 failed jobs?")


async def test_a_page_that_is_not_seen_asks_for_nothing_and_catches_up_when_it_is(page: Page, shop: Shop) -> None:
    asked = await with_its_own_clock(page, FULL)
    await page.evaluate(TURN_HIDDEN, True)
    await let_pass(page, 5_000)  # what was under way
    before = len(asked)
    await let_pass(page, MINUTE)
    assert len(asked) == before
    await shop.dispatch(ImportFile("if"))
    async with page.expect_response(LIVE):
        await page.evaluate(TURN_HIDDEN, False)
    await page.clock.resume()
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("No jobs yet")


async def test_a_paused_page_asks_for_nothing_until_it_goes_on(page: Page, shop: Shop) -> None:
    asked = await with_its_own_clock(page, FULL)
    await page.get_by_role("button", name="Pause").click()
    await let_pass(page, 5_000)
    before = len(asked)
    await let_pass(page, MINUTE)
    assert len(asked) == before
    async with page.expect_response(LIVE):
        await page.get_by_role("button", name="Resume").click()


async def test_a_page_that_gets_errors_asks_more_and_more_rarely(page: Page, windows: Windows) -> None:
    windows.expect("503")
    asked = await with_its_own_clock(page, FULL)
    await page.route(LIVE, lambda route: route.fulfill(status=503))

    async def pause() -> float:
        before, passed = len(asked), 0.0
        while len(asked) == before:
            await let_pass(page, 500)
            passed += 0.5
        return passed

    await pause()
    pauses = [await pause() for _ in range(4)]
    assert all(pause >= 0.85 * 2**errors - 0.5 for errors, pause in enumerate(pauses, 1)), pauses


async def test_a_page_says_that_the_server_is_gone_and_recovers(page: Page, windows: Windows, shop: Shop) -> None:
    await page.goto(FULL)
    status = page.locator("#status")
    await expect(status).to_contain_text("updated")
    windows.expect("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    await shop.served.stop()
    await expect(status).to_contain_text("not updated since")
    await shop.dispatch(ImportFile("if"))
    await shop.served.start()
    await expect(status).not_to_contain_text("not updated since")
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("No jobs yet")


async def test_many_are_retried_in_turns_and_the_page_goes_on_by_itself(
    either: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    monkeypatch.setattr("lagoqueue_dashboard.actions.TURN", -1.0)
    await shop.keep_failed(2_100)
    await either.goto(FAILED)
    await either.get_by_role("link", name="Retry all 2,100…").click()
    await either.get_by_role("button", name="Retry 2,100 failed jobs").click()
    if "no-script" in request.node.name:
        for done in ("1,000", "2,000"):
            await expect(either.get_by_role("heading", level=1)).to_have_text(f"{done} jobs retried so far")
            await either.get_by_role("button", name="Go on").click()
    await expect(either.get_by_role("status")).to_have_text("2,100 jobs were put back in the queue.")
    assert await shop.failed() == 0
