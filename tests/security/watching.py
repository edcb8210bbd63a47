"""What the interpreter is made to do while a block runs, by its own account (PEP 578)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

RUNS = frozenset(
    {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"}
)
"""What nothing does to a job, whatever that holds."""

LOADS = frozenset({"import", "compile", "marshal.loads"})
"""What is done now and then, but not with what a job holds."""


class Event(NamedTuple):
    """One thing that was done."""

    name: str
    about: str


_seen: list[Event] | None = None


def _hook(name: str, arguments: tuple[object, ...]) -> None:
    if _seen is not None and (name in RUNS or name in LOADS):
        _seen.append(Event(name, repr(arguments[:1])))


@cache
def _installed() -> None:
    """Begin to listen; an audit hook stays until the process ends."""
    sys.addaudithook(_hook)


@contextmanager
def watching() -> Iterator[list[Event]]:
    """Give the list of what is done, by any thread, until the block ends."""
    global _seen
    _installed()
    seen: list[Event] = []
    _seen = seen
    try:
        yield seen
    finally:
        _seen = None


def harmful(seen: list[Event], words: tuple[str, ...]) -> list[Event]:
    """Return what ran something, or loaded something that has one of these words in it."""
    return [each for each in seen if each.name in RUNS or any(word in each.about for word in words)]
