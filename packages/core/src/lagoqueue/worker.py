"""`Worker`: takes jobs off a queue and runs their handlers. Its settings and its life are here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Self, TypeVar, overload

from lagoqueue._log import Log
from lagoqueue._loop import call_in
from lagoqueue._time import Seconds, at_least_one, to_seconds
from lagoqueue.backoff import Backoff, exponential, to_policy
from lagoqueue.errors import InvalidValue, WorkerRunning
from lagoqueue.execution import Execution
from lagoqueue.handlers import HandlerFunction, Handlers
from lagoqueue.observer import Observer
from lagoqueue.queue import Queue
from lagoqueue.reporting import OnFailed, Reporter
from lagoqueue.run import Limits, Run
from lagoqueue.unknown import UnknownNames

P = TypeVar("P")


class Worker:
    """Runs the handlers of the jobs that come due in a queue.

    Args:
        queue: The queue, or a named view of it (`queue.named("critical", "default")`).
        max_retry: Attempts in all, the first included, before a job fails for good.
        backoff: The wait before the next attempt: seconds, a timedelta, or a policy that takes the
            job; by default exponential from 5 s to an hour.
        poll: How long one fetch waits for a job, where the driver cannot wake it sooner.
        concurrency: Handlers that run at once: coroutines, and threads for sync handlers.
        prefetch: Jobs reserved beyond those that run, so that a slot need not wait for the store. For many quick
            jobs a few hundred: under load, one round trip settles and claims half as many.
        grace: How long `stop` lets running handlers finish before it cancels them.
        unknown_grace: How long a job whose name has no handler here is released, for workers of a
            newer version to take, before it fails.
        on_failed: Called once for each job that failed for good, with the job and the error; may
            return an awaitable.
        observers: Told of every step; see `Observer`.
        handlers: Shared with other workers; by default each has its own.
        logger: By default "lagoqueue.worker".

    Durations are seconds or timedeltas.

    Raises:
        InvalidValue: A setting is outside what it may be.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        max_retry: int = 3,
        backoff: Backoff | None = None,
        poll: Seconds = 1.0,
        concurrency: int = 1,
        prefetch: int = 0,
        grace: Seconds = 30.0,
        unknown_grace: Seconds = 900.0,
        on_failed: OnFailed | None = None,
        observers: Iterable[Observer] = (),
        handlers: Handlers | None = None,
        logger: Log | None = None,
    ) -> None:
        self.queue = queue
        self.handlers = Handlers() if handlers is None else handlers
        self._max_retry = at_least_one(max_retry, "max_retry")
        self._backoff = to_policy(exponential() if backoff is None else backoff)
        self._poll = to_seconds(poll, "poll", positive=True)
        self._concurrency = at_least_one(concurrency, "concurrency")
        if not isinstance(prefetch, int) or isinstance(prefetch, bool) or prefetch < 0:
            raise InvalidValue(f"prefetch must be a whole number from 0, not {prefetch!r}")
        self._prefetch = prefetch
        self._grace = to_seconds(grace, "grace")
        self._unknown = UnknownNames(to_seconds(unknown_grace, "unknown_grace"))
        self._on_failed = on_failed
        self._observers = list(observers)
        self._logger: Log = logging.getLogger("lagoqueue.worker") if logger is None else logger
        self._run: Run | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked = False

    # --- Handlers -------------------------------------------------------------------------------

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
        """Register a handler, directly or as a decorator; see `Handlers.handle`."""
        if function is None:
            return self.handlers.handle(payload_type, timeout=timeout, max_retry=max_retry, backoff=backoff)
        return self.handlers.handle(payload_type, function, timeout=timeout, max_retry=max_retry, backoff=backoff)

    # --- The seed's fluent settings ---------------------------------------------------------------

    def max_retry(self, attempts: int) -> Self:
        """Set how many attempts a job gets in all, the first included."""
        self._max_retry = at_least_one(attempts, "max_retry")
        return self

    def backoff(self, backoff: Backoff) -> Self:
        """Set the wait before the next attempt."""
        self._backoff = to_policy(backoff)
        return self

    def poll(self, poll: Seconds) -> Self:
        """Set how long one fetch waits for a job."""
        self._poll = to_seconds(poll, "poll", positive=True)
        return self

    def logger(self, logger: Log) -> Self:
        """Set the logger."""
        self._logger = logger
        return self

    def on_failed(self, on_failed: OnFailed) -> Self:
        """Set what is called for each job that failed for good."""
        self._on_failed = on_failed
        return self

    # --- Observers ------------------------------------------------------------------------------

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of this worker's steps and of what is dispatched to its queue, once each."""
        for observers in (self._observers, self.queue.observers):
            if not any(present is observer for present in observers):
                observers.append(observer)

    def unobserve(self, observer: Observer) -> None:
        """Tell `observer` no more."""
        for observers in (self._observers, self.queue.observers):
            observers[:] = [present for present in observers if present is not observer]

    # --- Life -----------------------------------------------------------------------------------

    async def run(self, *, burst: bool = False) -> None:
        """Run jobs until `stop` is called; then let running handlers finish, and return.

        Cancelling it drains in the same way and then re-raises; cancelling it again does not wait.
        After it has returned it may be called again.

        Args:
            burst: Return as soon as nothing is due and nothing is running.

        Raises:
            WorkerRunning: This worker is running already.
            QueueClosed: The queue was closed meanwhile. What ran was drained first.
        """
        if self._run is not None:
            raise WorkerRunning("this worker is running already: make another one, or set concurrency=")
        if self._stop_asked:  # stop() came first
            self._stop_asked = False
            return
        execution = Execution(
            self.handlers.table,
            max_retry=self._max_retry,
            backoff=self._backoff,
            unknown=self._unknown,
            interrupted=self._interrupted,
        )
        limits = Limits(self._concurrency, self._prefetch, self._poll, self._grace)
        reporter = Reporter(self._observers, self._on_failed, self._logger)
        run = Run(self.queue, execution, limits, reporter, self._logger, burst=burst)
        self._loop = asyncio.get_running_loop()
        self._run = run
        try:
            self._logger.info(
                "worker started on %s with %s",
                ", ".join(self.queue.labels),
                ", ".join(self.handlers.names()) or "no handler",
            )
            await run.main()
            self._logger.info("worker stopped")
        finally:
            self._run = None
            self._stop_asked = False

    def stop(self, grace: Seconds | None = None) -> None:
        """Let `run` end: fetch no more, and cancel what still runs when the grace period is over.

        From any thread, and as often as you like; a later call may shorten the grace period. When
        no run is under way, the next one returns at once.

        Args:
            grace: Instead of the worker's `grace`; 0 cancels now. Cancelled jobs are released
                without spending an attempt. A thread cannot be cancelled: its job is released too,
                while the function runs on.
        """
        seconds = self._grace if grace is None else to_seconds(grace, "grace")
        self._stop_asked = True
        run, loop = self._run, self._loop
        if run is not None and loop is not None:
            call_in(loop, lambda: run.stop(seconds))

    def _interrupted(self) -> None:
        """A handler raised KeyboardInterrupt: while stopping, that is the user who will not wait."""
        if self._stop_asked:
            self.stop(0)
