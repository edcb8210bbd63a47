"""`Sampler`: jobs per minute of each queue, from the counters of any inspector."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import msgspec

from lagoqueue._time import Clock, Seconds, SystemClock, to_seconds
from lagoqueue.errors import InvalidValue, LagoqueueError
from lagoqueue.monitor.inspector import Inspector
from lagoqueue.monitor.views import StatsView, ThroughputSample

INTERVAL = 5.0
WINDOW = 60.0
MAX_SAMPLES = 100_000
"""Samples that a window may hold: more is taken for a mistake."""

_log = logging.getLogger("lagoqueue.sampler")


class Sampler:
    """Polls an inspector in the background and derives rates from what its counters gained.

    ::

        async with Sampler(inspector) as sampler:
            ...
            sampler.rate("default")  # jobs a minute

    The first poll only learns where the counters stand. From then on, a queue that was not there
    before counts from 0, and so does a counter that went back (its process began anew). A poll
    that raises, or takes longer than the window, is logged (once until a poll succeeds again) and
    the next one covers its time as well. All methods belong in the event loop's thread.
    """

    def __init__(
        self,
        inspector: Inspector,
        interval: Seconds = INTERVAL,
        window: Seconds = WINDOW,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to poll; nothing runs before `start`.

        Args:
            inspector: Whose `stats()` are polled.
            interval: Between two polls; 5 seconds when 0 or less.
            window: How far `rate` and `window` look back; a minute when 0 or less.
            clock: The time it lives by; tests pass a `lagoqueue.testing.ManualClock`.

        Raises:
            InvalidValue: Not a duration, NaN, infinite, or longer than ten years; or a window of
                more than 100,000 intervals.
        """
        self._inspector = inspector
        self._interval = _duration(interval, "interval", INTERVAL)
        self._window = _duration(window, "window", WINDOW)
        if self._window / self._interval > MAX_SAMPLES:
            raise InvalidValue(
                f"a window of {self._window:g} s holds too many intervals of {self._interval:g} s "
                f"(at most {MAX_SAMPLES:,}); poll less often or look back less far"
            )
        self._clock: Clock = SystemClock() if clock is None else clock
        self._polls: deque[_Poll] = deque()
        self._last: _Counts | None = None
        self._polling = asyncio.Lock()
        self._failing = False
        self._loop_task: asyncio.Task[None] | None = None

    # --- The background poll ------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin to poll, at once and then at every interval; does nothing while it polls already.

        Returns:
            This sampler.

        Raises:
            LagoqueueError: No event loop is running in this thread.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise LagoqueueError(
                "Sampler.start() needs a running event loop; call it from a coroutine, or use `async with Sampler(...)`"
            ) from None
        if not self._is_polling():
            self._polling = asyncio.Lock()  # the old one may belong to a loop that has ended
            self._loop_task = loop.create_task(self._poll(), name="lagoqueue sampler")
        return self

    def stop(self) -> None:
        """Stop polling; the samples taken so far stay. Does nothing when it is not polling."""
        task, self._loop_task = self._loop_task, None
        self._last = None  # what happens until the next start is not of one interval
        if task is not None and not task.get_loop().is_closed():
            task.cancel()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._loop_task
        self.stop()
        if task is not None:
            await asyncio.wait([task])

    def _is_polling(self) -> bool:
        task = self._loop_task
        return task is not None and not task.done() and not task.get_loop().is_closed()

    async def _poll(self) -> None:
        tick = self._clock.monotonic()
        while True:
            await self.sample()
            # The grid of ticks stays where it began; those that a slow poll ran over are left out.
            tick += self._interval * max(1, math.floor((self._clock.monotonic() - tick) / self._interval) + 1)
            await self._sleep_until(tick)

    async def _sleep_until(self, when: float) -> None:
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(when, lambda: _wake(reached))
        try:
            await reached
        finally:
            timer.cancel()

    # --- One sample -----------------------------------------------------------------------------------

    async def sample(self) -> None:
        """Poll the inspector once, as the background poll does; never raises what the inspector raises."""
        async with self._polling:  # two polls at once could be recorded in the wrong order
            try:
                async with asyncio.timeout(max(self._window, self._interval)):
                    view = await self._inspector.stats()
                self._record(view)
            except Exception as error:
                if not self._failing:
                    _log.warning("cannot sample the counters; trying on: %s", error, exc_info=True)
                self._failing = True
            else:
                if self._failing:
                    _log.info("the counters can be sampled again")
                self._failing = False
            self._prune()

    def _record(self, view: StatsView) -> None:
        last = self._last
        now = _Counts(self._clock.monotonic(), {row.queue: row.processed for row in view.queues})
        if last is not None:
            seconds = now.taken - last.taken
            if seconds <= 0:
                return  # no time has passed: the next poll covers this one
            at = datetime.fromtimestamp(self._clock.time(), UTC)
            gained = {queue: _gain(count, last.processed.get(queue, 0)) for queue, count in now.processed.items()}
            self._polls.append(_Poll(now.taken, at, seconds, gained))
        self._last = now
        for poll in self._polls:
            for queue in poll.gained.keys() - now.processed.keys():
                del poll.gained[queue]

    def _prune(self) -> None:
        oldest = self._clock.monotonic() - self._window
        while self._polls and self._polls[0].taken <= oldest:
            self._polls.popleft()

    # --- Reading --------------------------------------------------------------------------------------

    def rate(self, queue: str) -> float:
        """Return jobs processed per minute over the window, or over the part of it that was polled.

        0.0 before the second poll, and for a queue that the inspector does not know.
        """
        seconds = sum(poll.seconds for poll in self._polls)
        if not seconds:
            return 0.0
        return 60.0 * sum(poll.gained.get(queue, 0) for poll in self._polls) / seconds

    def window(self, queue: str) -> list[ThroughputSample]:
        """Return the samples of the window, oldest first; none for a queue that is not known.

        All queues have the same instants: a queue that came later has zeros before.
        """
        if not self._polls or queue not in self._polls[-1].gained:
            return []
        samples: list[ThroughputSample] = []
        for poll in self._polls:
            processed = poll.gained.get(queue, 0)
            samples.append(ThroughputSample(poll.at, processed, 60.0 * processed / poll.seconds))
        return samples


class _Counts(msgspec.Struct, frozen=True):
    """The processed counters as of one poll."""

    taken: float
    processed: dict[str, int]


class _Poll(msgspec.Struct, frozen=True):
    """What each queue gained in the `seconds` before `taken` (monotonic) and `at` (wall clock)."""

    taken: float
    at: datetime
    seconds: float
    gained: dict[str, int]


def _wake(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


def _gain(count: int, before: int) -> int:
    return count - before if count >= before else count


def _duration(value: Seconds, name: str, default: float) -> float:
    """Return checked seconds, or the default for what is 0 or less."""
    if isinstance(value, timedelta):
        unset = value <= timedelta()
    elif isinstance(value, (int, float)):
        unset = not isinstance(value, bool) and -math.inf < value <= 0
    else:
        unset = False  # not a duration at all: to_seconds says so
    return default if unset else to_seconds(value, name)
