"""`Reader`: reads an inspector once for all viewers; `Look`: what one request has read, and what it could not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from lagoqueue.errors import FailedJobNotFound, InvalidValue, JobNotFound
from lagoqueue.monitor import DetailedInspector, Inspector

TIMEOUT = 3.0
"""Seconds that a read may take before it counts as failed."""

KEEP = 2.0
"""Seconds for which a read serves all viewers, at least."""

SHARE = 0.01
"""The part of the time that repeating one read may take: one that takes 50 ms is kept for 5 s."""

LONGEST = 60.0
"""Seconds for which a read is kept at most, however long it took."""

AGAIN = 15.0
"""Seconds after which a read that failed is tried again at the latest, so that its first success is soon seen."""

MOST = 256
"""Reads of what all pages show that are remembered; the one that was used longest ago goes first."""

MOST_CHOSEN = 32
"""The same of what a viewer has chosen: a payload's tree and a traceback take some hundred KB."""

AT_ONCE = 1
"""Reads of what viewers have chosen that run at once: the others' reads may have to wait for these, and for no more."""

ANSWERS = (InvalidValue, JobNotFound, FailedJobNotFound)
"""What an inspector raises to answer the question, and not because it is in trouble."""

T = TypeVar("T")

_log = logging.getLogger("lagoqueue.dashboard")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a read gave.

    Attributes:
        value: What was read last; None when nothing ever was.
        at: When that was, aware UTC.
        problem: Why nothing newer could be read, in words; None when it is as new as it should be.
    """

    value: T | None
    at: datetime | None
    problem: str | None = None


@dataclass(slots=True)
class _Kept:
    """One read that is remembered."""

    reading: Reading[Any]
    until: float
    took: float = 0.0
    flight: asyncio.Task[Reading[Any]] | None = None
    hanging: asyncio.Future[Any] | None = None


class Reader:
    """Asks an inspector on behalf of all viewers: one question at a time, and not again while the answer is new.

    So ten open pages cost a store what one does. A read that takes long is repeated more rarely. One
    that fails or hangs leaves the last value in place, with the problem in words. What viewers choose,
    such as searches, takes turns, so that one of them cannot keep an inspector from all the others. An
    inspector may be slow, but must not block the event loop.
    """

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector
        self.detailed = inspector if isinstance(inspector, DetailedInspector) else None
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._chosen: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    def forget(self) -> None:
        """Read everything anew from now on: something was changed through this dashboard."""
        for kept in (*self._kept.values(), *self._chosen.values()):
            kept.until, kept.flight = 0.0, None

    async def read(
        self, key: Hashable, load: Callable[[], Awaitable[T]], keep: float = KEEP, *, chosen: bool = False
    ) -> Reading[T]:
        """Return what `load` gives, or gave a short while ago under the same key.

        Args:
            key: Names what is read.
            load: Reads it.
            keep: Seconds for which the answer is new, at least.
            chosen: A viewer has chosen the key, out of any number.

        Raises:
            InvalidValue, JobNotFound, FailedJobNotFound: The inspector's answer.
        """
        remembered, most = (self._chosen, MOST_CHOSEN) if chosen else (self._kept, MOST)
        kept = remembered.get(key)
        if kept is None:
            kept = remembered[key] = _Kept(Reading(None, None), 0.0)
            if len(remembered) > most:
                remembered.popitem(last=False)
        remembered.move_to_end(key)
        if time.monotonic() < kept.until:
            return kept.reading
        flight = kept.flight
        if flight is None or flight.done() or flight.get_loop() is not asyncio.get_running_loop():
            flight = kept.flight = asyncio.get_running_loop().create_task(self._load(kept, load, keep, chosen))
            flight.add_done_callback(_seen)
        # Shielded: a viewer who leaves must not take the answer from the others.
        return await asyncio.shield(flight)

    async def _load(self, kept: _Kept, load: Callable[[], Awaitable[T]], keep: float, chosen: bool) -> Reading[T]:
        mine, took = kept.flight, 0.0
        try:
            async with self._turn(chosen):
                began = time.monotonic()
                try:
                    value = await _in_time(kept, load)
                finally:
                    took = time.monotonic() - began
        except ANSWERS:
            raise
        except Exception as error:
            problem = _problem(error)
            if kept.reading.problem is None:
                _log.warning("cannot read what a page shows: %s", problem, exc_info=error)
            reading = Reading(kept.reading.value, kept.reading.at, problem)
            keep = min(AGAIN, max(keep, took / SHARE))
        else:
            reading = Reading(value, datetime.now(UTC))
            # The quicker of two: one slow read may be the machine's fault, or the first one's, which also connects.
            keep = max(keep, min(LONGEST, min(took, kept.took) / SHARE))
            kept.took = took
        if kept.flight is mine:  # else something was changed meanwhile, and this is what was before
            kept.reading, kept.until = reading, time.monotonic() + keep
        return reading

    @asynccontextmanager
    async def _turn(self, chosen: bool) -> AsyncIterator[None]:
        """Wait until a read may begin.

        Raises:
            TimeoutError: That took too long.
        """
        if not chosen:
            yield
            return
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a semaphore serves one loop
            self._loop, self._turns = loop, asyncio.Semaphore(AT_ONCE)
        turns = self._turns
        async with asyncio.timeout(TIMEOUT):
            await turns.acquire()
        try:
            yield
        finally:
            turns.release()


async def _in_time(kept: _Kept, load: Callable[[], Awaitable[T]]) -> T:
    """Return what `load` gives; one that takes too long is cancelled.

    Raises:
        TimeoutError: It took too long, or one before does so still, which not even its cancellation has ended:
            more of its kind would only pile up.
    """
    loop = asyncio.get_running_loop()
    if kept.hanging is not None and kept.hanging.get_loop() is loop and not kept.hanging.done():
        raise TimeoutError
    call = asyncio.ensure_future(load())
    done, _ = await asyncio.wait({call}, timeout=TIMEOUT)
    if not done:
        kept.hanging = call
        call.add_done_callback(_seen)
        call.cancel()
        raise TimeoutError
    return call.result()


def _seen(flight: asyncio.Future[Any]) -> None:
    """Take note of an exception that no viewer has waited for."""
    if not flight.cancelled():
        flight.exception()


def _problem(error: Exception) -> str:
    """Return a sentence about why a read failed that gives away nothing of where it was read."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return f"{type(error).__name__}, which the log of this process shows"


class Look:
    """What one request reads.

    Attributes:
        reader: Whom it asks.
        problems: What could not be read, in words.
        found: Whether anything could.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.problems: list[str] = []
        self.found = False
        self._oldest: datetime | None = None

    @property
    def stale(self) -> bool:
        """True when part of what was read is older than it should be, or missing."""
        return bool(self.problems)

    @property
    def read_at(self) -> datetime:
        """When the oldest part of it was read."""
        return self._oldest or datetime.now(UTC)

    async def read(
        self, what: str, key: Hashable, load: Callable[[], Awaitable[T]], default: T, keep: float = KEEP
    ) -> T:
        """Return what is read, or `default` where nothing could be.

        Args:
            what: Names it to a person, such as "the failed jobs".
            key: None for what is one for all viewers; else tells what a viewer has chosen from others of that name.
            load: Reads it.
            default: What to go on with.
            keep: As in `Reader.read`.
        """
        reading = await self.reader.read((what, key), load, keep, chosen=key is not None)
        if reading.problem is not None:
            since = "" if reading.at is None else f"; what is shown is from {reading.at:%H:%M:%S} UTC"
            problem = f"Could not read {what}: {reading.problem}{since}."
            if problem not in self.problems:
                self.problems.append(problem)
        if reading.value is None:
            return default
        self.found = True
        if reading.at is not None:
            self._oldest = reading.at if self._oldest is None else min(self._oldest, reading.at)
        return reading.value
