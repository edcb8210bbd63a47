"""Chromium as this machine has it, driven by Playwright: for the tests in a browser, and for the screenshots."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from servers import missing

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start it without a window, and end it.

    Raises:
        ServerMissing: It is not on this machine.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise missing(
            f"there is no Chromium to test with: none of {', '.join(PROGRAMS)} is on PATH; apt-get install chromium"
        )
    async with async_playwright() as playwright:
        # Its sandbox does not start for root, as CI is in a container; the pages are our own.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()
