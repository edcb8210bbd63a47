from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lagoqueue_sql import SQLQueue


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest_asyncio.fixture
async def queue(url: str) -> AsyncIterator[SQLQueue]:
    async with SQLQueue(url, synchronous="normal") as queue:
        await queue.setup()
        yield queue
