"""A phone, 390 pixels wide: no page is wider than that, and all that can be done can be touched."""

from __future__ import annotations

import pytest

from busy_shop import Busy
from places import PLACES
from tests.e2e.shop import FAILED, ImportFile, SendWelcomeEmail, Shop
from tests.e2e.windows import PHONE, Windows, expect

OUT_OF_REACH = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = (node) => node && (node.scrollWidth > node.clientWidth && getComputedStyle(node).overflowX === "auto" || scrolls(node.parentElement));
  return [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
    .filter((node) => node.checkVisibility() && !node.closest(".skip"))
    .filter((node) => { const box = node.getBoundingClientRect(); return (box.left < 0 || box.right > wide) && !scrolls(node.parentElement); })
    .map((node) => node.outerHTML.slice(0, 200));
}"""


@pytest.mark.parametrize("place", PLACES)
async def test_no_page_scrolls_sideways_and_nothing_is_out_of_reach(
    busy_windows: Windows, busy_shop: Busy, place: str
) -> None:
    if place == "error":
        busy_windows.expect("status of 404")
    page = await busy_windows.open(busy_shop.places[place], phone=True)
    width, _ = PHONE
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await page.evaluate(OUT_OF_REACH) == []
    main = page.get_by_role("main")
    assert await main.evaluate("(main) => main.scrollHeight - main.clientHeight") == 0  # it is not cut off


async def test_selected_jobs_are_retried_with_a_finger(windows: Windows, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    page = await windows.open(FAILED, phone=True)
    await page.get_by_role("link", name="One by one").tap()
    await page.get_by_role("listitem").filter(has_text="SendWelcomeEmail").get_by_role("checkbox").tap()
    await page.get_by_role("button", name="Retry…").tap()
    await page.get_by_role("button", name="Retry 1 failed job").tap()
    await expect(page.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    assert await shop.failed() == 1


async def test_everything_is_flushed_with_a_finger(windows: Windows, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    page = await windows.open(FAILED, phone=True)
    await page.get_by_role("link", name="Flush all 2…").tap()
    await page.get_by_role("button", name="Forget 2 failed jobs").tap()
    await expect(page.get_by_role("status")).to_have_text("2 jobs were forgotten.")
    assert await shop.failed() == 0


async def test_a_job_is_retried_and_one_forgotten_from_its_own_page(windows: Windows, shop: Shop) -> None:
    await shop.fail(ImportFile("if"), SendWelcomeEmail("ann@example.org"))
    page = await windows.open(f"{FAILED}?view=jobs", phone=True)
    await page.get_by_role("link", name="ImportFile SyntaxError").tap()
    await page.get_by_role("link", name="Forget…").tap()
    await page.get_by_role("button", name="Forget 1 failed job").tap()
    await expect(page.get_by_role("status")).to_have_text("1 job was forgotten.")
    await page.get_by_role("link", name="SendWelcomeEmail").first.tap()
    await page.get_by_role("button", name="Retry").tap()
    await expect(page.get_by_role("status")).to_have_text("1 job was put back in the queue.")
    assert await shop.failed() == 0
