"""The worlds that tests of the dashboard ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dashboard import worlds
from tests.dashboard.worlds import World


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world of the kind that a test's parameter names; in memory without one."""
    kind = getattr(request, "param", "memory")
    async with worlds.sqlite(tmp_path) if kind == "sqlite" else getattr(worlds, kind)() as made:
        yield made
