"""What the processes of a scenario are told."""

from __future__ import annotations

from typing import Any

import msgspec


class Working(msgspec.Struct):
    """A worker: its database, its journal, and the arguments of `SQLQueue` and `Worker`."""

    url: str
    journal: str
    queue: dict[str, Any]
    worker: dict[str, Any]


class Producing(msgspec.Struct):
    """A producer.

    Attributes:
        url: Of the database.
        journal: The file of the journal.
        queue: Arguments of `SQLQueue`.
        jobs: How many to push.
        first: The first one's number.
        rate: How many a second.
        seconds: How long each handler takes.
        threads: Whether handlers are functions.
        special: By number, what becomes of a handler, and up to which attempt; see `payloads`.
    """

    url: str
    journal: str
    queue: dict[str, Any]
    jobs: int
    first: int
    rate: float
    seconds: float
    threads: bool
    special: dict[int, tuple[str, int]]
