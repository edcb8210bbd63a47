"""The jobs of the scenarios: what their handlers do is in their payload."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lagoqueue import Fail, Retry


@dataclass(frozen=True)
class Errand:
    """A job whose handler is a coroutine.

    Attributes:
        number: Which one.
        seconds: How long its handler takes.
        do: What becomes of the handler: a name of `ENDS`, with a figure perhaps, as in "block:3".
        attempts: Up to which attempt that happens.
        stubborn: Whether the handler goes on when it is cancelled.
    """

    number: int
    seconds: float = 0.0
    do: str = ""
    attempts: int = 1000
    stubborn: bool = False


@dataclass(frozen=True)
class ThreadErrand(Errand):
    """A job whose handler is a function, which runs in a thread."""


class BadRepr(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")

    __repr__ = __str__


def raising(make: Callable[[], BaseException]) -> Callable[[float], NoReturn]:
    def end(seconds: float) -> NoReturn:
        raise make()

    return end


def retry(seconds: float) -> NoReturn:
    raise Retry(seconds)


def crash(seconds: float) -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def hold_the_gil(seconds: float) -> None:
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # a PyDLL's functions keep the lock


def hoard(megabytes: float) -> None:
    """Take more memory than there is, so that an allocation fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(megabytes * 1e6), before[1]))
    try:
        bytearray(2 * int(megabytes * 1e6))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


ENDS: dict[str, Callable[[float], Any]] = {
    "raise": raising(lambda: ValueError("as told")),
    "fail": raising(lambda: Fail("as told")),
    "retry": retry,
    "exit": lambda seconds: os._exit(137),
    "abort": lambda seconds: os.abort(),
    "crash": crash,
    "block": time.sleep,  # in a coroutine, that blocks the event loop
    "gil": hold_the_gil,
    "hoard": hoard,
    "system exit": raising(lambda: SystemExit(3)),
    "base": raising(lambda: BaseException("bare")),
    "group": raising(lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two")])),
    "nul": raising(lambda: ValueError("a\x00b \ud800 c")),
    "huge": raising(lambda: ValueError("x" * 10_000_000)),
    "bad repr": raising(BadRepr),
}


async def run(errand: Errand, attempt: int) -> None:
    try:
        await asyncio.sleep(errand.seconds)
    except asyncio.CancelledError:
        if not errand.stubborn:
            raise
    end(errand, attempt)


def run_in_thread(errand: Errand, attempt: int) -> None:
    time.sleep(errand.seconds)
    end(errand, attempt)


def end(errand: Errand, attempt: int) -> None:
    """Do what the payload says, with its figure if it has one: "block 3", say."""
    if errand.do and attempt <= errand.attempts:
        name, _, figure = errand.do.partition(":")
        ENDS[name](float(figure or 0))
