"""`Windows`: a browser's windows, each with its own cookies, and what went wrong in any of them."""

from __future__ import annotations

import re
from typing import Any

import servers
from tests.e2e.shop import PATIENCE

try:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Response, expect
except ImportError:
    raise servers.missing("playwright is not installed: pip install --group test") from None

__all__ = ["PHONE", "Locator", "Page", "Windows", "expect"]

WIDE = (1280, 800)
PHONE = (390, 844)

expect.set_options(timeout=PATIENCE * 1000)

_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.effectiveDirective} violated by ${event.blockedURI} ${event.sample}`));
"""


class Windows:
    """Opens windows, and takes down what a user would find in the browser's console.

    Args:
        browser: The browser.
        address: Where links without a host lead.

    Attributes:
        troubles: Errors and warnings of pages, violations of the content security policy, requests that
            failed, and answers of 500 and above.
    """

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self._address = address
        self._contexts: list[BrowserContext] = []
        self._expected: list[re.Pattern[str]] = []
        self.troubles: list[str] = []

    async def open(self, path: str | None = None, *, phone: bool = False, **options: Any) -> Page:
        """Open a window of a browser that was never here, at a path.

        Args:
            path: Where to go first.
            phone: As narrow as a phone, with fingers.
            options: Of Playwright's `new_context`, such as `java_script_enabled` and `color_scheme`.
        """
        width, height = PHONE if phone else WIDE
        context = await self._browser.new_context(
            base_url=self._address,
            viewport={"width": width, "height": height},
            has_touch=phone,
            is_mobile=phone,
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE * 1000)
        self._contexts.append(context)
        await context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._note(f"uncaught: {error.error}"))
        context.on("requestfailed", self._on_request_failed)
        context.on("response", self._on_response)
        page = await context.new_page()
        if path is not None:
            await page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        """Say that a trouble which this describes is what a test is about."""
        self._expected.append(re.compile(pattern))

    async def close(self) -> None:
        """Close them; the test fails if there was trouble in any."""
        for context in self._contexts:
            await context.close()
        assert not self.troubles, "\n".join(self.troubles)

    def _note(self, trouble: str) -> None:
        if not any(pattern.search(trouble) for pattern in self._expected):
            self.troubles.append(trouble)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._note(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _on_request_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that was left asks for nothing more
            self._note(f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self._note(f"{response.request.method} {response.url}: {response.status}")
