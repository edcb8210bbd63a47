"""`SlotThread`: where one slot of a worker runs its sync handlers.

A daemon thread, unlike those of concurrent.futures, which the interpreter joins at exit: a handler
that outlives the grace period must not keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from lagoqueue._loop import call_in

Outcome = tuple[Any, BaseException | None]
_Call = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Outcome]"]


class SlotThread:
    """Runs one function at a time; the thread starts with the first one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] | None = None

    async def call(self, function: Callable[[Any], Any], argument: object) -> Outcome:
        """Run `function(argument)` in the thread, in a copy of this context; return result and error.

        The error is returned and not raised, because a coroutine cannot raise every exception: not
        StopIteration. When this is cancelled the function runs on, and the next call gets a new thread.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            threading.Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True).start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        context = contextvars.copy_context()
        self._calls.put((lambda: context.run(function, argument), loop, future))
        try:
            return await future
        except asyncio.CancelledError:
            self.stop()
            raise

    def stop(self) -> None:
        """Let the thread end after what it runs now."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        run, loop, future = call
        outcome: Outcome
        try:
            outcome = run(), None
        except BaseException as error:  # delivered to the slot, which decides
            outcome = None, error
        if not call_in(loop, functools.partial(_resolve, future, outcome)):
            return  # the worker did not wait for us
        del call, run, future, outcome


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
