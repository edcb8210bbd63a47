"""`Execution`: the settings of a delivery's way through a worker, and what not every job needs on it.

The steps themselves, decode → run → decide, are in `_cycle.pyx`; the settler takes their outcome for a
batch of deliveries, and `reporting` tells the rest of the world. Only this file compares attempts with
their limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable

from lagoqueue._codec import HandlerTable
from lagoqueue._time import to_seconds
from lagoqueue.backoff import Policy, wait_after
from lagoqueue.delivery import Delivery, GivenBack
from lagoqueue.errors import (
    AttemptsExhausted,
    Fail,
    HandlerTimeout,
    InvalidValue,
    PayloadDecodeError,
    Retry,
    Snooze,
    UnknownJob,
)
from lagoqueue.failure import Failure
from lagoqueue.handlers import Handler
from lagoqueue.queue import Settlement
from lagoqueue.slot_thread import SlotThread
from lagoqueue.unknown import UnknownNames


class Execution:
    """The settings that the steps share, and what they need for jobs that are not as most are.

    Attributes:
        table: The handlers, by job name.
        aborting: The grace period is over: running handlers are being cancelled.
    """

    def __init__(
        self,
        table: HandlerTable[Handler],
        *,
        max_retry: int,
        backoff: Policy,
        unknown: UnknownNames,
        interrupted: Callable[[], object],
    ) -> None:
        self.table = table
        self.aborting = False
        self._max_retry = max_retry
        self._backoff = backoff
        self._unknown = unknown
        self._interrupted = interrupted

    # --- decode ---------------------------------------------------------------------------------

    def check_attempts(self, delivery: Delivery) -> None:
        """Refuse a job that was delivered again and has no attempt left."""
        job, limit = delivery.job, self._limit(delivery.handler)
        if job.attempts > limit:
            delivery.error = AttemptsExhausted(
                f"job {job.id!r} was delivered {job.attempts - 1} times and never settled: its worker died "
                f"each time. It may be what kills them, so it was not run again (max_retry={limit})"
            )

    # --- run ------------------------------------------------------------------------------------

    async def call(self, delivery: Delivery, thread: SlotThread) -> None:
        """Run a handler that has a timeout, or is sync."""
        handler = delivery.handler
        assert handler is not None
        if not handler.is_async:
            result, delivery.error = await thread.call(handler.function, delivery.payload)
            if inspect.isawaitable(result):  # a sync wrapper around a coroutine function
                await result
            return
        scope = asyncio.timeout(handler.timeout)
        try:
            async with scope:
                await handler.function(delivery.payload)
        except TimeoutError:
            if not scope.expired():
                raise  # the handler's own
            raise HandlerTimeout(f"the handler of {handler.name} ran longer than {handler.timeout:g} s") from None

    def reason(self, delivery: Delivery, error: BaseException) -> BaseException:
        """Return what an attempt ended with, whose handler raised this."""
        # SystemExit and the like end a job, never the worker. Ctrl-C does not arrive here
        # unless the worker is stopping already and no signal handler was installed.
        if isinstance(error, KeyboardInterrupt):
            self._interrupted()
        if isinstance(error, asyncio.CancelledError) and (delivery.lost or self.aborting):
            return GivenBack("the handler was cancelled")
        return error  # one that cancelled itself, too: an attempt like any other that failed

    async def uncancel(self, task: asyncio.Task[None]) -> None:
        """Take back that a handler's task was cancelled, which would end the slot or the next handler instead."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # one that has not arrived yet; before CPython 3.13 `uncancel` leaves it
        while task.cancelling():
            task.uncancel()

    # --- decide ---------------------------------------------------------------------------------

    def after_error(self, delivery: Delivery, error: BaseException) -> Settlement:
        """Choose how the reservation of a job that was not done ends."""
        try:
            return self._settlement(delivery, error)
        except InvalidValue as bad:  # Retry or Snooze with a duration that is none
            bad.__cause__ = error
            delivery.error = bad
            return self._settlement(delivery, bad)

    def _settlement(self, delivery: Delivery, error: BaseException) -> Settlement:
        job = delivery.job
        if isinstance(error, GivenBack):
            return Settlement(job, "release", 0.0)
        if isinstance(error, UnknownJob):
            wait = self._unknown.wait_for(job)
            return (
                Settlement(job, "fail", failure=Failure.of(error)) if wait is None else Settlement(job, "release", wait)
            )
        if isinstance(error, Snooze):
            return Settlement(job, "release", to_seconds(error.delay, "Snooze(delay)"))
        final = isinstance(error, (Fail, PayloadDecodeError, AttemptsExhausted))
        if final or job.attempts >= self._limit(delivery.handler):
            return Settlement(job, "fail", failure=Failure.of(error))
        if isinstance(error, Retry) and error.after is not None:
            return Settlement(job, "nack", to_seconds(error.after, "Retry(after)"))
        policy = delivery.handler.backoff if delivery.handler is not None else None
        return Settlement(job, "nack", wait_after(policy or self._backoff, job))

    def _limit(self, handler: Handler | None) -> int:
        if handler is None or handler.max_retry is None:
            return self._max_retry
        return handler.max_retry
