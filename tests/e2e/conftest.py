"""A browser, a shop to look at with it, and windows whose troubles fail the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from busy_shop import Busy, open_busy_shop
from tests.e2e.shop import Shop, open_shop

if TYPE_CHECKING:  # where Playwright is missing these tests are skipped, or fail, one by one
    from playwright.async_api import Browser, Page

    from tests.e2e.windows import Windows

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the browser, and run it in the loop that the browser lives in."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests."""
    from chromium import chromium

    async with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def new_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read anew after 2 seconds also on a busy machine, where a read takes long and would be kept for long."""
    monkeypatch.setattr("lagoqueue_dashboard.reading.SHARE", 1.0)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop with nothing in it."""
    async with open_shop(tmp_path) as shop:
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def busy_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Busy]:
    """A shop that no test changes, with something on every page."""
    async with open_busy_shop(tmp_path_factory.mktemp("busy")) as busy:
        yield busy


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, shop: Shop) -> AsyncIterator[Windows]:
    """Opens windows."""
    from tests.e2e.windows import Windows

    windows = Windows(browser, shop.served.address)
    yield windows
    await windows.close()


@pytest_asyncio.fixture(loop_scope="session")
async def busy_windows(browser: Browser, busy_shop: Busy) -> AsyncIterator[Windows]:
    """Opens windows on the busy shop."""
    from tests.e2e.windows import Windows

    windows = Windows(browser, busy_shop.address)
    yield windows
    await windows.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(windows: Windows) -> Page:
    """A wide window, nowhere yet."""
    return await windows.open()


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["script", "no-script"])
async def either(request: pytest.FixtureRequest, windows: Windows) -> Page:
    """A wide window, nowhere yet; of a browser with JavaScript, and of one where it is off."""
    return await windows.open(java_script_enabled=request.param)
