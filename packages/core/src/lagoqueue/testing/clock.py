"""`ManualClock`: time that passes only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lagoqueue._time import Seconds, to_seconds

_TURNS = 20
"""Turns of the event loop that `elapse` gives to what a timer woke."""


class ManualClock:
    """A clock for `MemoryQueue(clock=...)` that a test moves forward by hand.

    ::

        clock = ManualClock()
        queue = MemoryQueue(clock=clock)
        await dispatch_after(queue, Reminder(42), 3600)
        await clock.elapse(3600)  # an hour later, at once

    It may be read from any thread.
    """

    def __init__(self, start: float | None = None) -> None:
        """Stop the clock at `start`, in seconds since the epoch; by default at the present time."""
        self._start = time.time() if start is None else start
        self._elapsed = 0.0
        self._timers: list[_ManualTimer] = []
        self._sequence = itertools.count()
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the wall clock in seconds since the epoch."""
        return self._start + self._elapsed

    def now(self) -> datetime:
        """Return the wall clock as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def monotonic(self) -> float:
        """Return the seconds that have passed since the clock was made."""
        return self._elapsed

    def call_at(self, when: float, callback: Callable[[], object]) -> _ManualTimer:
        """Call back in the running event loop once `monotonic()` has reached `when`.

        What is due already is called in the loop's next turn, as an event loop's own timer is.
        """
        loop = asyncio.get_running_loop()
        timer = _ManualTimer(when, next(self._sequence), loop, callback)
        with self._lock:
            due = when <= self._elapsed
            if not due:
                heapq.heappush(self._timers, timer)
        if due:
            loop.call_soon(timer.fire)
        return timer

    def advance(self, seconds: Seconds) -> None:
        """Move the clock forward and fire the timers on the way, in order, each at its own time.

        Callbacks of the running loop have been called when this returns, but the coroutines that
        they woke have not run yet: `await asyncio.sleep(0)`, or use `elapse`. Callbacks of a loop
        in another thread are handed over to it.

        Raises:
            InvalidValue: Not a duration, negative, NaN, infinite, or longer than ten years.
        """
        end = self._elapsed + to_seconds(seconds, "seconds")
        while self._step(end):
            pass

    async def elapse(self, seconds: Seconds) -> None:
        """Move the clock forward as `advance` does, letting other tasks run after every timer.

        So a task that sleeps for one second after another is woken once for each of them.

        Raises:
            InvalidValue: Not a duration, negative, NaN, infinite, or longer than ten years.
        """
        end = self._elapsed + to_seconds(seconds, "seconds")
        await _let_others_run()  # what is about to wait must have set its timer
        while self._step(end):
            await _let_others_run()
        await _let_others_run()

    def _step(self, end: float) -> bool:
        """Fire the first timer that is due by `end`; else move to `end` and return False."""
        with self._lock:
            while self._timers and self._timers[0].cancelled:
                heapq.heappop(self._timers)
            if not self._timers or self._timers[0].when > end:
                self._elapsed = max(self._elapsed, end)
                return False
            timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, timer.when)
        timer.fire_in_its_loop()
        return True


class _ManualTimer:
    """One call to come; ordered by time, then by age."""

    def __init__(
        self, when: float, sequence: int, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]
    ) -> None:
        self.when = when
        self.cancelled = False
        self._sequence = sequence
        self._loop = loop
        self._callback = callback

    def __lt__(self, other: _ManualTimer) -> bool:
        return (self.when, self._sequence) < (other.when, other._sequence)

    def cancel(self) -> None:
        """Do not call back; harmless when it has been called already."""
        self.cancelled = True

    def fire(self) -> None:
        if not self.cancelled:
            self._callback()

    def fire_in_its_loop(self) -> None:
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self.fire()
        elif not self._loop.is_closed():  # a timer dies with its loop
            self._loop.call_soon_threadsafe(self.fire)


async def _let_others_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
