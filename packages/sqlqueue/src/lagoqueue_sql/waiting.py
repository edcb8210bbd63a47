"""`Bell`: what wakes the waiting pops of this process when a job may have come due."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lagoqueue._time import Clock


class Listener:
    """A pop that waits, in whichever event loop it was called. It must be made in that loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake it, from any thread."""
        with suppress(RuntimeError):  # its loop was closed, so nobody waits
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, clock: Clock, until: float) -> bool:
        """Return at `until`, on the clock's monotonic time, or as soon as the bell has rung; was it the bell?"""
        rang = True

        def time_is_up() -> None:
            nonlocal rang
            rang = self._rung.is_set()
            self._rung.set()

        timer = clock.call_at(until, time_is_up)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()
            self._rung.clear()
        return rang


class Bell:
    """Rings for all that listen. Safe from threads.

    Attributes:
        rung: How often it has rung, for those who were not listening.
    """

    def __init__(self) -> None:
        self.rung = 0
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Listen from now on, so that nothing that rings before `wait` is called gets lost."""
        listener = Listener()
        with self._lock:
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def ring(self) -> None:
        """Wake all that listen."""
        self.rung += 1  # two at once may count as one: what matters is that it changes
        if self._listeners:
            with self._lock:
                listeners = list(self._listeners)
            for listener in listeners:
                listener.ring()
