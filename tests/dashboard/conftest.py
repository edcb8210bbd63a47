"""The worlds that tests of the dashboard ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
import pytest

from tests.dashboard import worlds
from tests.dashboard.worlds import World


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world of the kind that a test's parameter names; in memory without one."""
    kind = getattr(request, "param", "memory")
    async with worlds.sqlite(tmp_path) if kind == "sqlite" else getattr(worlds, kind)() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    """Compile each template once for the many dashboards of a run: that takes longer than most tests."""
    compiled = jinja2.Environment.compile
    codes: dict[object, CodeType] = {}

    def once(self: jinja2.Environment, source: Any, *args: Any, **options: Any) -> Any:
        key = (source, args, tuple(options.items()), self.autoescape, self.undefined, self.trim_blocks)
        if not isinstance(source, str):
            return compiled(self, source, *args, **options)
        if key not in codes:
            codes[key] = compiled(self, source, *args, **options)
        return codes[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", once)
        yield
