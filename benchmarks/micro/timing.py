"""How the micro benchmarks are timed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

Work = Callable[[], Coroutine[Any, Any, None]]
Prepare = Callable[[], Coroutine[Any, Any, Work]]
InLoop = Callable[[Prepare, int], None]
"""Times coroutines: called with one that prepares, untimed, and returns another, and with how many operations that is."""


def repeat(
    benchmark: BenchmarkFixture, work: Callable[..., object], operations: int, rounds: int, **options: Any
) -> None:
    """Time rounds of work, each so many operations, after one that does not count if there are several."""
    benchmark.extra_info["operations"] = operations
    benchmark.pedantic(work, rounds=rounds, warmup_rounds=min(1, rounds - 1), **options)  # type: ignore[no-untyped-call]
