"""`Handlers`: which function runs a job, and under which options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from lagoqueue._codec import HandlerTable
from lagoqueue._time import Seconds, at_least_one, to_seconds
from lagoqueue.backoff import Backoff, Policy, to_policy
from lagoqueue.errors import HandlerError
from lagoqueue.job import job_name

P = TypeVar("P")
HandlerFunction = Callable[[P], object]
"""Takes the decoded payload. Async ones run in the event loop, others in a thread."""


class Handler(msgspec.Struct, frozen=True):
    """A registered function. None in an option means: as the worker says.

    Attributes:
        is_plain: To call it and await the result is all there is to do: it is async, and has no timeout.
    """

    name: str
    function: Callable[[Any], Any]
    is_async: bool
    is_plain: bool
    timeout: float | None = None
    max_retry: int | None = None
    backoff: Policy | None = None


class Handlers:
    """Handlers by job name. A worker has one of its own, or shares one that it is given.

    Attributes:
        table: Opens deliveries: finds the handler of each, and decodes its payload.
    """

    def __init__(self) -> None:
        self.table: HandlerTable[Handler] = HandlerTable()

    @overload
    def handle(
        self,
        payload_type: type[P],
        function: HandlerFunction[P],
        /,
        *,
        timeout: Seconds | None = None,
        max_retry: int | None = None,
        backoff: Backoff | None = None,
    ) -> HandlerFunction[P]: ...

    @overload
    def handle(
        self,
        payload_type: type[P],
        /,
        *,
        timeout: Seconds | None = None,
        max_retry: int | None = None,
        backoff: Backoff | None = None,
    ) -> Callable[[HandlerFunction[P]], HandlerFunction[P]]: ...

    def handle(
        self,
        payload_type: type[P],
        function: HandlerFunction[P] | None = None,
        /,
        *,
        timeout: Seconds | None = None,
        max_retry: int | None = None,
        backoff: Backoff | None = None,
    ) -> HandlerFunction[P] | Callable[[HandlerFunction[P]], HandlerFunction[P]]:
        """Register the handler of a payload type, directly or as a decorator.

        Args:
            payload_type: What the payload decodes into; its name routes (see `job_name`).
            function: Takes the payload; async, or sync (it then runs in a thread).
            timeout: Seconds or timedelta after which an async handler is cancelled and the attempt
                fails. A thread cannot be stopped, so a sync handler takes none.
            max_retry: Attempts in all, the first included, instead of the worker's.
            backoff: The wait between attempts, instead of the worker's.

        Raises:
            JobNameError: The type has no stable name.
            DuplicateHandler: Another handler has this name.
            HandlerError: Not callable with one payload, a generator, a sync function with a
                timeout, or a type that JSON cannot decode into.
            InvalidValue: An option is outside what it may be.
        """
        if function is None:

            def register(function: HandlerFunction[P]) -> HandlerFunction[P]:
                return self.handle(payload_type, function, timeout=timeout, max_retry=max_retry, backoff=backoff)

            return register
        name = job_name(payload_type)
        is_async = _is_async(function)
        handler = Handler(
            name=name,
            function=function,
            is_async=is_async,
            is_plain=is_async and timeout is None,
            timeout=None if timeout is None else to_seconds(timeout, "timeout", positive=True),
            max_retry=None if max_retry is None else at_least_one(max_retry, "max_retry"),
            backoff=None if backoff is None else to_policy(backoff),
        )
        if handler.timeout is not None and not handler.is_async:
            raise HandlerError(
                f"the handler of {name} is sync and runs in a thread, which cannot be stopped: make it async to give it a timeout"
            )
        self.table.add(name, handler, payload_type)
        return function

    def names(self) -> list[str]:
        """Return the registered job names, sorted."""
        return sorted(self.table.names())


def _is_async(function: Callable[..., object]) -> bool:
    """Tell whether calling `function` gives a coroutine; refuse what no worker can run."""
    if not callable(function):
        raise HandlerError(f"a handler must be callable, not {function!r}")
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for each in (function, call):
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            raise HandlerError(f"handler {function!r} is a generator, whose body a call does not run; remove its yield")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have none; they are taken at their word
        return False
    try:
        signature.bind(None)
    except TypeError:
        raise HandlerError(
            f"handler {function!r} must take the payload as its one required argument, but its signature is {signature}"
        ) from None
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
