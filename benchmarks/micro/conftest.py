"""What the micro benchmarks share: their size, and a loop that coroutines are timed in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.sizes import Size, pick
from micro.timing import InLoop, Prepare, repeat


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--size", default="full", choices=["full", "quick", "tiny"])


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    """How much to measure."""
    return cast("Size", request.config.getoption("--size"))


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One event loop for all, so that making one is not timed."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def in_loop(benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, size: Size) -> InLoop:
    """Time coroutines; see `InLoop`."""

    def measure(prepare: Prepare, operations: int) -> None:
        repeat(
            benchmark,
            lambda work: loop.run_until_complete(work()),
            operations,
            pick(size, full=5, quick=3, tiny=1),
            setup=lambda: ((loop.run_until_complete(prepare()),), {}),
        )

    return measure
