"""axe-core finds nothing serious on any page, light or dark, wide or on a phone; and no page troubles the console."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]

from busy_shop import Busy
from places import PLACES
from tests.e2e.shop import FAILED, FULL, READERS, Shop
from tests.e2e.windows import PHONE, Page, Windows, expect

GRAVE = ("serious", "critical")
WHAT_WIDTH_CHANGES = ("color-contrast", "scrollable-region-focusable", "target-size")


async def faults(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong, as far as it is grave; by all its rules unless some are named."""
    options: dict[str, object] = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    if rules:
        options["runOnly"] = rules
    found = (await Axe().run(page, options=options)).response
    return [
        f"{violation['id']} ({violation['help']}): {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
    ]


async def faults_in_every_look(page: Page, path: str) -> list[str]:
    """Return them for light and dark, wide and as narrow as a phone."""
    await page.goto(path)
    found = await faults(page)
    await page.emulate_media(color_scheme="dark")
    found += [f"dark: {fault}" for fault in await faults(page, "color-contrast")]
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    return found + [f"narrow: {fault}" for fault in await faults(page, *WHAT_WIDTH_CHANGES)]


@pytest.mark.parametrize("place", PLACES)
async def test_a_page_of_a_busy_shop(busy_windows: Windows, busy_shop: Busy, place: str) -> None:
    if place == "error":
        busy_windows.expect("status of 404")
    page = await busy_windows.open()
    assert not await faults_in_every_look(page, busy_shop.places[place])


@pytest.mark.parametrize("path", [FULL, FAILED, f"{FULL}workers", f"{FULL}charts", READERS])
async def test_a_page_with_nothing_on_it(page: Page, path: str) -> None:
    assert not await faults_in_every_look(page, path)


async def test_the_page_of_an_action_under_way(page: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lagoqueue_dashboard.actions.TURN", -1.0)
    await shop.keep_failed(1_100)
    await page.goto(f"{FAILED}/confirm?action=retry&all=1")
    await page.get_by_role("button", name="Retry 1,100 failed jobs").click()
    # Its next turn leads nowhere, or the page would be gone before it is looked at.
    await page.route("**/failed/retry", lambda route: route.fulfill(status=204))
    await expect(page.get_by_role("heading", level=1)).to_have_text("1,000 jobs retried so far")
    assert not await faults(page)


async def test_axe_finds_what_is_wrong(page: Page) -> None:
    await page.goto(FULL)
    await page.evaluate("document.querySelector('#main').append(document.createElement('input'))")
    assert [fault for fault in await faults(page) if fault.startswith("label")]
