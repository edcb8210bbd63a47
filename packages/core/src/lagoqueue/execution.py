"""One delivery on its way through a worker: decode → run → settle → report.

`Execution.decode`, `run` and `decide` take a delivery as far as how it is to be settled; the settler
does that for a batch of them, and `reporting` tells the rest of the world. Only this file compares
attempts with their limit.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

from lagoqueue._time import to_seconds
from lagoqueue.backoff import Policy, wait_after
from lagoqueue.current import running
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
from lagoqueue.handlers import Handler, Handlers
from lagoqueue.queue import Settlement
from lagoqueue.slot_thread import SlotThread
from lagoqueue.unknown import UnknownNames


class Execution:
    """The steps, with the settings that they share."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        max_retry: int,
        backoff: Policy,
        unknown: UnknownNames,
        interrupted: Callable[[], object],
    ) -> None:
        self._handlers = handlers
        self._max_retry = max_retry
        self._backoff = backoff
        self._unknown = unknown
        self._interrupted = interrupted
        self.aborting = False
        """Set when the grace period is over: running handlers are being cancelled."""

    # --- decode ---------------------------------------------------------------------------------

    def decode(self, delivery: Delivery) -> None:
        """Find the handler and decode the payload, or note why there is nothing to run."""
        try:
            self._handlers.open(delivery)
        except (UnknownJob, PayloadDecodeError) as error:
            delivery.error = error
            return
        job, limit = delivery.job, self._limit(delivery.handler)
        if job.attempts > limit:
            delivery.error = AttemptsExhausted(
                f"job {job.id!r} was delivered {job.attempts - 1} times and never settled: its worker died "
                f"each time. It may be what kills them, so it was not run again (max_retry={limit})"
            )

    # --- run ------------------------------------------------------------------------------------

    async def run(self, delivery: Delivery, thread: SlotThread) -> None:
        """Run the handler to its end, and keep what it raised."""
        handler, task = delivery.handler, delivery.task
        if handler is None:
            return
        token = running.set(delivery)
        delivery.started = time.perf_counter()
        try:
            if handler.is_async:
                await _call(handler, delivery.payload)
            else:
                result, delivery.error = await thread.call(handler.function, delivery.payload)
                if inspect.isawaitable(result):  # a sync wrapper around a coroutine function
                    await result
        except asyncio.CancelledError as error:
            delivery.error = self._why_cancelled(delivery, error)
        except GeneratorExit:  # the slot itself is being closed, not its handler
            raise
        except BaseException as error:
            # SystemExit and the like end a job, never the worker. Ctrl-C does not arrive here
            # unless the worker is stopping already and no signal handler was installed.
            delivery.error = error
            if isinstance(error, KeyboardInterrupt):
                self._interrupted()
        finally:
            delivery.seconds = time.perf_counter() - delivery.started
            delivery.task = None
            running.reset(token)
        while task is not None and task.cancelling():  # or the slot's next await would end it
            task.uncancel()

    def _why_cancelled(self, delivery: Delivery, error: asyncio.CancelledError) -> BaseException:
        if delivery.lost or self.aborting:
            return GivenBack("the handler was cancelled")
        return error  # the handler cancelled itself: an attempt like any other that failed

    # --- decide ---------------------------------------------------------------------------------

    def decide(self, delivery: Delivery) -> None:
        """Choose how the reservation ends."""
        job, error = delivery.job, delivery.error
        if error is None:
            delivery.settlement = Settlement(job, "ack", seconds=delivery.seconds)
        elif isinstance(error, GivenBack):
            delivery.settlement = Settlement(job, "release", 0.0)
        elif isinstance(error, UnknownJob):
            wait = self._unknown.wait_for(job)
            if wait is None:
                delivery.settlement = Settlement(job, "fail", failure=Failure.of(error))
            else:
                delivery.settlement = Settlement(job, "release", wait)
        else:
            try:
                delivery.settlement = self._after_error(delivery, error)
            except InvalidValue as bad:  # Retry or Snooze with a duration that is none
                bad.__cause__ = error
                delivery.error = bad
                delivery.settlement = self._after_error(delivery, bad)

    def _after_error(self, delivery: Delivery, error: BaseException) -> Settlement:
        job = delivery.job
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


async def _call(handler: Handler, payload: object) -> None:
    if handler.timeout is None:
        await handler.function(payload)
        return
    scope = asyncio.timeout(handler.timeout)
    try:
        async with scope:
            await handler.function(payload)
    except TimeoutError:
        if not scope.expired():
            raise  # the handler's own
        raise HandlerTimeout(f"the handler of {handler.name} ran longer than {handler.timeout:g} s") from None
