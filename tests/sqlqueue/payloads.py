"""What the tests and the processes that they start have in common: the payload, and how both connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lagoqueue_sql import SQLQueue


@dataclass(frozen=True)
class Effect:
    number: int


def connect(url: str, **settings: Any) -> SQLQueue:
    """A queue as these tests use it: none of them cuts the power, so SQLite need not wait for the disk."""
    if url.startswith("sqlite"):
        settings = {"synchronous": "normal", **settings}
    return SQLQueue(url, **settings)
