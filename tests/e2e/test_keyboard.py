"""The keyboard alone: everything is reached in the order in which it is read, is seen there, and can be used."""

from __future__ import annotations

import pytest

from busy_shop import Busy
from tests.e2e.shop import FAILED, FULL, ImportFile, SendWelcomeEmail, Shop
from tests.e2e.windows import Page, Windows, expect

FOCUSABLE = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")]
  .filter((node) => node.checkVisibility() && !node.disabled)
  .map((node, place) => { node.dataset.place = place; return place; })"""

WHERE = "() => document.activeElement === document.body ? -1 : Number(document.activeElement.dataset.place)"

SEEN = """() => { const look = getComputedStyle(document.activeElement); const box = document.activeElement.getBoundingClientRect();
  return look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0 && box.bottom > 0 && box.top < innerHeight; }"""


async def press_until_focused(page: Page, name: str, role: str = "link") -> None:
    """Press Tab until an element has the focus."""
    target = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    await target.wait_for()
    for _ in range(100):
        await page.keyboard.press("Tab")
        if await target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"no Tab leads to {name}")


@pytest.mark.parametrize(
    "place", ["overview", "queue", "failed", "failed-jobs", "failed-job", "confirm-forget", "charts"]
)
async def test_tab_goes_through_all_in_order_and_shows_where_it_is(
    busy_windows: Windows, busy_shop: Busy, place: str
) -> None:
    page = await busy_windows.open(busy_shop.places[place])
    places = await page.evaluate(FOCUSABLE)
    gone_through = []
    for _ in places:
        await page.keyboard.press("Tab")
        gone_through.append(await page.evaluate(WHERE))
        assert await page.evaluate(SEEN), await page.evaluate("document.activeElement.outerHTML")
    assert gone_through == places


async def test_the_first_tab_leads_past_the_menu(page: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"))
    await page.goto(FAILED)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("searchbox")).to_be_focused()


async def test_a_slash_leads_to_the_search_and_enter_searches(page: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    await page.goto(FAILED)
    await page.keyboard.press("/")
    await page.keyboard.type("unexpectedly/closed")  # in the field it is a character like others
    await expect(page.get_by_role("searchbox")).to_have_value("unexpectedly/closed")
    await page.get_by_role("searchbox").fill("unexpectedly")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("1 failed job matches, 1 reason")


async def test_selected_jobs_are_forgotten_without_a_mouse(page: Page, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    await page.goto(FULL)
    await press_until_focused(page, "Failed")
    await page.keyboard.press("Enter")
    await press_until_focused(page, "One by one")
    await page.keyboard.press("Enter")
    await press_until_focused(page, "Select ImportFile", "checkbox")
    await page.keyboard.press("Space")
    await press_until_focused(page, "Forget…", "button")
    await page.keyboard.press("Enter")
    await press_until_focused(page, "Forget 1 failed job", "button")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("1 job was forgotten.")
    assert await shop.failed() == 1


async def test_the_theme_is_switched_without_a_mouse(page: Page) -> None:
    await page.goto(FULL)
    await press_until_focused(page, "Dark", "button")
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
