"""The windows themselves: what would trouble a user's console fails the test in which it happens."""

from __future__ import annotations

import re

import pytest

from tests.e2e.shop import FULL
from tests.e2e.windows import Page, Windows

INLINE = "const script = document.createElement('script'); script.textContent = '1'; document.body.append(script)"


@pytest.mark.parametrize(
    ("what", "trouble"),
    [
        (INLINE, "script-src-elem violated by inline"),
        ("document.body.setAttribute('style', 'color: red')", "style-src-attr violated by inline"),
        ("setTimeout(() => { throw new Error('on purpose') })", "uncaught: .*on purpose"),
        ("fetch('/nothing/here')", "status of 404"),
        ("void fetch('http://127.0.0.1:1/').catch(() => 0)", "connect-src violated"),
    ],
)
async def test_it_is_taken_down(windows: Windows, page: Page, what: str, trouble: str) -> None:
    await page.goto(FULL)
    async with page.expect_event("pageerror" if "throw" in what else "console"):
        await page.evaluate(what)
    await page.evaluate("new Promise((done) => setTimeout(done))")  # it may be said in more ways than one
    found = [each for each in windows.troubles if re.search(trouble, each)]
    windows.troubles.clear()
    assert found
