"""Pops of a `MemoryQueue` that sleep until there may be a job for them, each in the event loop that it was called in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lagoqueue._loop import call_in
from lagoqueue._time import Clock


class Waiters:
    """Those who wait, the longest first. Any thread may wake them, with no lock: each step is one operation on a dict.

    Attributes:
        sleeping: Them, as the keys.
    """

    def __init__(self, clock: Clock) -> None:
        self.sleeping: dict[Waiter, bool] = {}
        self._clock = clock

    def remove(self, waiter: Waiter) -> bool:
        """Let somebody wait no longer; False when that was so already."""
        return self.sleeping.pop(waiter, False)

    def wake(self, label: str, everyone: bool) -> None:
        """Wake one that serves the label; all of them when they must set their timers anew."""
        for waiter in list(self.sleeping):
            if label in waiter.labels and self.remove(waiter) and waiter.wake() and not everyone:
                return

    def wake_all(self) -> None:
        """Wake everyone."""
        for waiter in list(self.sleeping):
            if self.remove(waiter):
                waiter.wake()

    async def sleep(self, labels: Iterable[str], wake_at: Callable[[], float]) -> None:
        """Return when there may be a job for one of the labels, or at a moment on the monotonic clock.

        Args:
            labels: Which.
            wake_at: Returns the moment. It is called when a push would wake the sleeper already, so
                what was pushed before can be seen by it.
        """
        waiter = Waiter(asyncio.get_running_loop(), frozenset(labels))
        self.sleeping[waiter] = True
        try:
            timer = self._clock.call_at(wake_at(), waiter.resolve)
            try:
                await waiter.future
            finally:
                timer.cancel()
        except asyncio.CancelledError:
            if not self.remove(waiter):  # it was woken for a job: let another take that
                for label in waiter.labels:
                    self.wake(label, everyone=False)
            raise
        finally:
            self.remove(waiter)


class Waiter:
    """A pop that sleeps."""

    __slots__ = ("future", "labels", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, labels: frozenset[str]) -> None:
        self.loop = loop
        self.labels = labels
        self.future: asyncio.Future[None] = loop.create_future()

    def wake(self) -> bool:
        """Wake it from any thread; False when nobody waits there any more."""
        return not self.future.done() and call_in(self.loop, self.resolve)

    def resolve(self) -> None:
        """Wake it from its own loop."""
        if not self.future.done():
            self.future.set_result(None)
