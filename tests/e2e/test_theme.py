"""Light and dark: as the browser prefers, until the switch says otherwise."""

from __future__ import annotations

import pytest

from tests.e2e.shop import FULL, READERS
from tests.e2e.windows import Page, Windows, expect

LIGHT, DARK = "rgb(246, 245, 241)", "rgb(18, 20, 23)"


async def looks(page: Page, background: str) -> None:
    await expect(page.locator("body")).to_have_css("background-color", background)


@pytest.mark.parametrize(("preference", "background"), [("light", LIGHT), ("dark", DARK)])
async def test_it_is_as_the_browser_prefers(windows: Windows, preference: str, background: str) -> None:
    page = await windows.open(FULL, color_scheme=preference)
    await looks(page, background)


async def test_the_switch_lasts_over_reloads_and_pages_and_can_be_given_back(either: Page) -> None:
    await either.emulate_media(color_scheme="light")
    await either.goto("/queues/charts?span=day")
    async with either.expect_response("**/queues/theme"):
        await either.get_by_role("button", name="Dark", exact=True).click()
    await looks(either, DARK)
    await expect(either.get_by_role("heading", level=1)).to_have_text("All queues, last day")  # the same page
    await either.reload()
    await looks(either, DARK)
    await either.get_by_role("link", name="Workers").click()
    await looks(either, DARK)
    await expect(either.get_by_role("button", name="Dark", exact=True)).to_have_attribute("aria-pressed", "true")
    async with either.expect_response("**/queues/theme"):
        await either.get_by_role("button", name="Auto").click()
    await looks(either, LIGHT)
    await either.emulate_media(color_scheme="dark")
    await looks(either, DARK)


async def test_a_theme_that_is_refused_says_why(page: Page, windows: Windows) -> None:
    windows.expect("status of 403")
    await page.goto("/queues/failed/confirm?action=flush")
    await page.evaluate("document.querySelector('#themes [name=csrf_token]').value = 'of last night'")
    await page.get_by_role("button", name="Dark", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This page is out of date")


async def test_who_may_only_look_may_switch_too(either: Page) -> None:
    await either.emulate_media(color_scheme="dark")
    await either.goto(READERS)
    async with either.expect_response("**/queues/theme"):
        await either.get_by_role("button", name="Light").click()
    await looks(either, LIGHT)
    await either.reload()
    await looks(either, LIGHT)
