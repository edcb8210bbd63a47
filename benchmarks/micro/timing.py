"""How coroutines are timed: one prepares, untimed, and returns another, which is timed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]
Prepare = Callable[[], Coroutine[Any, Any, Work]]
InLoop = Callable[[Prepare, int], None]
"""Called with what prepares, and how many operations the work is."""
