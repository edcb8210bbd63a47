"""Copy buttons: there where a script can copy, also where the browser has no clipboard for scripts."""

from __future__ import annotations

import pytest

from tests.e2e.shop import FAILED, ImportFile, Shop
from tests.e2e.windows import Page, Windows, expect

NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"


async def failed_job(page: Page, shop: Shop) -> str:
    """Open the page of a failed job; return its id."""
    await shop.fail(ImportFile("price = 1x"))
    job_id = (await shop.queue.failed_jobs.search()).jobs[0].id
    await page.goto(f"{FAILED}/job?id={job_id}")
    return job_id


@pytest.mark.parametrize("before", ["", NO_CLIPBOARD], ids=["clipboard", "plain-http"])
async def test_what_is_copied_can_be_pasted(windows: Windows, shop: Shop, before: str) -> None:
    page = await windows.open(permissions=[] if before else ["clipboard-read", "clipboard-write"])
    await page.add_init_script(before)
    job_id = await failed_job(page, shop)
    pasted = {}
    for what in ("id", "payload", "traceback"):
        button = page.get_by_role("button", name=f"Copy the {what}")
        await button.click()
        await expect(page.get_by_role("button", name=f"Copied the {what}")).to_be_visible()
        other = await page.context.new_page()
        await other.goto(FAILED)
        await other.evaluate("document.querySelector('#main').append(document.createElement('textarea'))")
        await other.locator("textarea").press("Control+V")
        pasted[what] = await other.locator("textarea").input_value()
        await other.close()
    assert pasted["id"] == job_id
    assert pasted["payload"] == '{\n  "source": "price = 1x"\n}'
    assert pasted["traceback"].rstrip().endswith("SyntaxError: invalid decimal literal")


async def test_without_a_script_there_is_no_button(windows: Windows, shop: Shop) -> None:
    page = await windows.open(java_script_enabled=False)
    await failed_job(page, shop)
    await expect(page.locator("pre.trace")).to_be_visible()
    await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
