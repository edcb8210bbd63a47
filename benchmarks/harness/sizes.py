"""How much is measured: all of it, enough for a first look, or just enough to see that it works."""

from __future__ import annotations

from typing import Literal, TypeVar

T = TypeVar("T")

Size = Literal["full", "quick", "tiny"]


def pick(size: Size, *, full: T, quick: T, tiny: T) -> T:
    """Return what is of that size."""
    return {"full": full, "quick": quick, "tiny": tiny}[size]
