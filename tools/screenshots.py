"""Photograph every page of the dashboard, light and dark, wide and on a phone, for the documentation.

    python tools/screenshots.py FOLDER

The pages are those of a busy shop (`busy_shop.py`), whose jobs really wait, run and fail while they are photographed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page

from busy_shop import Busy, open_busy_shop
from chromium import chromium

WIDE = (1280, 800)
PHONE = (390, 844)
TALLEST = 1140
"""Pixels of a page that a picture shows at most: below, lists only go on."""

SCREENS = (
    *("overview", "queue", "job", "failed", "failed-jobs", "failed-job", "confirm-forget"),
    *("workers", "charts", "health", "error"),
)
ON_A_PHONE = ("overview", "failed", "failed-job")


async def photograph(browser: Browser, busy: Busy, folder: Path) -> None:
    """Write a picture of each page into the folder, under its name."""
    for theme in ("light", "dark"):
        for name in SCREENS:
            page = await _open(browser, f"{busy.address}{busy.places[name]}", WIDE, theme)
            await _shoot(page, folder / f"{name}-{theme}.png")
        for name in ON_A_PHONE:
            page = await _open(browser, f"{busy.address}{busy.places[name]}", PHONE, theme)
            await _shoot(page, folder / f"{name}-phone-{theme}.png")


async def _open(browser: Browser, url: str, size: tuple[int, int], theme: str) -> Page:
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if theme == "light" else "dark",
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
    )
    page = await context.new_page()
    await page.goto(url)
    if "view=jobs" in url:  # as it is while somebody chooses
        for box in (await page.get_by_role("checkbox", name="Select").all())[:2]:
            await box.check()
    return page


async def _shoot(page: Page, file: Path) -> None:
    size = page.viewport_size
    assert size is not None
    whole = await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": size["width"], "height": min(max(whole, size["height"]), TALLEST)})
    await page.screenshot(path=file, animations="disabled", caret="hide")
    await page.context.close()


async def main(folder: Path) -> None:
    """Open the shop and photograph it."""
    with tempfile.TemporaryDirectory() as database:
        async with open_busy_shop(Path(database)) as busy, chromium() as browser:
            await photograph(browser, busy, folder)


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()


if __name__ == "__main__":
    logging.disable(logging.ERROR)  # the jobs fail on purpose
    _clear(Path(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[1])))
