from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lagoqueue import MemoryQueue
from lagoqueue_sql import SQLQueue

URLS = {"sqlite": "url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}
"""The fixture that gives each kind of database."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture(params=list(URLS))
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new, empty database of each kind."""
    found: str = request.getfixturevalue(URLS[request.param])
    return found


@pytest.fixture(params=["memory", *URLS])
def driver_url(request: pytest.FixtureRequest) -> str | None:
    """The same, and None for the queue that needs no database."""
    found: str | None = None if request.param == "memory" else request.getfixturevalue(URLS[request.param])
    return found


@pytest_asyncio.fixture
async def queue(driver_url: str | None) -> AsyncIterator[MemoryQueue | SQLQueue]:
    """An empty queue of every driver."""
    if driver_url is None:
        async with MemoryQueue() as memory:
            yield memory
        return
    async with SQLQueue(driver_url, wakeup="poll" if driver_url.startswith("postgresql") else None) as durable:
        await durable.setup()
        yield durable
