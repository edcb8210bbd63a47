"""What the processes of a scenario are told."""

from __future__ import annotations

from typing import Any

import msgspec


class Working(msgspec.Struct):
    """A worker.

    Attributes:
        url: Of the database.
        journal: The file of the journal.
        names: The payload types that it has handlers for.
        queue: Arguments of `SQLQueue`.
        worker: Arguments of `Worker`; the backoff may be a list, of the arguments of `exponential`.
    """

    url: str
    journal: str
    names: tuple[str, ...]
    queue: dict[str, Any]
    worker: dict[str, Any]


class Kind(msgspec.Struct, frozen=True):
    """What a job is like.

    Attributes:
        seconds: How long its handler takes.
        threads: Whether the handler is a function, which runs in a thread.
        do: What becomes of the handler, see `payloads`.
        attempts: Up to which attempt that happens.
        delay: Seconds from its push until it is due.
        stubborn: Whether the handler goes on when it is cancelled.
    """

    seconds: float = 0.0
    threads: bool = False
    do: str = ""
    attempts: int = 1000
    delay: float = 0.0
    stubborn: bool = False


class Producing(msgspec.Struct):
    """A producer.

    Attributes:
        url: Of the database.
        journal: The file of the journal.
        queue: Arguments of `SQLQueue`.
        jobs: How many to push, unless it is told to end before.
        first: The first one's number.
        rate: How many a second.
        pushers: How many are pushed at once.
        mix: What they are like, in turn.
        special: What becomes of single handlers, by number, and up to which attempt.
    """

    url: str
    journal: str
    queue: dict[str, Any]
    jobs: int
    first: int
    rate: float
    pushers: int
    mix: tuple[Kind, ...]
    special: dict[int, tuple[str, int]]
