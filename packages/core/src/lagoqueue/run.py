"""`Run`: one run of a worker: how it starts, stops, drains, and what its keeper is told.

An exchange claims jobs and settles them, and slots run them in between.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from lagoqueue._cycle import hold
from lagoqueue._log import Log
from lagoqueue.delivery import Delivery, give_back
from lagoqueue.exchange import Exchange
from lagoqueue.execution import Execution
from lagoqueue.job import Job
from lagoqueue.keeping import KeeperThread
from lagoqueue.queue import Queue, WorkerInfo
from lagoqueue.reporting import Reporter
from lagoqueue.slots import Slots

_LAST_WAIT = 1.0
"""Seconds that each part gets to end once the grace period is over."""


class Limits(msgspec.Struct, frozen=True):
    """How much a run takes on, and for how long it waits."""

    concurrency: int
    prefetch: int
    poll: float
    grace: float


class Run:
    """Everything that lives from the start of `Worker.run` to its end."""

    def __init__(
        self,
        queue: Queue,
        execution: Execution,
        limits: Limits,
        reporter: Reporter,
        log: Log,
        *,
        burst: bool,
    ) -> None:
        self._queue = queue
        self._execution = execution
        self._limits = limits
        self._reporter = reporter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Future[None] = self._loop.create_future()
        self._aborted: asyncio.Future[None] = self._loop.create_future()
        self._grace_timer: asyncio.TimerHandle | None = None
        self._ended_by: BaseException | None = None
        self._exchange = Exchange(
            queue,
            most=limits.concurrency + limits.prefetch,
            least=max(1, (limits.prefetch + 1) // 2),
            poll=None if burst else limits.poll,
            arrived=self._arrived,
            over=self._over,
            reporter=reporter,
            log=log,
        )
        self._slots = Slots(limits.prefetch // 2, execution, self._exchange, reporter, log)

    # --- Start, stop, drain ---------------------------------------------------------------------

    async def main(self) -> None:
        """Run until stopped, cancelled, or (in a burst) until nothing is due; then drain."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        keeper = self._queue.keeper(WorkerInfo(self._queue.labels, self._limits.concurrency, name))
        beat = None if keeper is None else KeeperThread(keeper, self._kept_jobs, self._lost_soon, self._log)
        exchange = asyncio.create_task(self._exchange.run(), name="lagoqueue-exchange")
        self._slots.start(self._limits.concurrency)
        cancelled = False
        try:
            await asyncio.wait({exchange, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            cancelled = True
        if self._grace_timer is None:
            self.stop(self._limits.grace)
        drain = asyncio.create_task(self._drain(exchange, beat), name="lagoqueue-drain")
        while not drain.done():
            try:
                await asyncio.shield(drain)
            except asyncio.CancelledError:
                cancelled = True
                self.stop(0.0)
        for task in (drain, exchange):
            if task.done() and not task.cancelled():
                task.result()  # raises only what would be a bug of ours
        if cancelled:
            raise asyncio.CancelledError
        if self._ended_by is not None:
            raise self._ended_by

    def stop(self, grace: float) -> None:
        """Claim no more, and cancel what still runs in `grace` seconds; a later call may shorten it."""
        if self._grace_timer is None:
            self._over(None)
            self._exchange.stop_claiming()
            self._give_back(self._slots.take_back())
        when = self._loop.time() + grace
        if self._grace_timer is not None:
            if self._grace_timer.when() <= when:
                return
            self._grace_timer.cancel()
        self._grace_timer = self._loop.call_at(when, self._abort)

    def _over(self, error: BaseException | None) -> None:
        self._ended_by = self._ended_by or error
        if not self._stopping.done():
            self._stopping.set_result(None)

    def _arrived(self, deliveries: Sequence[Delivery]) -> None:
        if self._stopping.done():
            self._give_back(deliveries)
        else:
            self._slots.add(deliveries)

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            give_back(delivery)
            self._exchange.end(delivery)

    def _abort(self) -> None:
        self._execution.aborting = True
        if not self._aborted.done():
            self._aborted.set_result(None)

    async def _drain(self, exchange: asyncio.Task[None], beat: KeeperThread | None) -> None:
        """Let running handlers end, give the rest back, and stop the keeper last of all."""
        await self._exchange.claim_stopped(_LAST_WAIT)
        self._slots.end()
        await self._until_aborted(self._slots.tasks)
        for slot in self._slots.tasks:
            slot.cancel()
        if self._slots.tasks:
            await asyncio.wait(set(self._slots.tasks), timeout=_LAST_WAIT)
        self._leave_running()
        self._exchange.close()
        await self._until_aborted({exchange})
        if not exchange.done():
            await asyncio.wait({exchange}, timeout=_LAST_WAIT)
        if not exchange.done():
            exchange.cancel()
            self._log.error("%d jobs could not be settled in time and will be redelivered", len(self._exchange.held))
        await self._until_aborted(self._reporter.hooks)
        for hook in self._reporter.hooks:
            hook.cancel()
        if beat is not None:
            await asyncio.to_thread(beat.stop, _LAST_WAIT)
        if self._grace_timer is not None:
            self._grace_timer.cancel()

    def _leave_running(self) -> None:
        """End the deliveries of handlers that would not stop; what becomes of those is not looked at any more."""
        for delivery in [delivery for delivery in self._exchange.held if delivery.task is not None]:
            if delivery.completed:
                self._log.warning("the handler of job %s would not stop; the job is done already", delivery.job.id)
                self._exchange.settled([delivery])
            else:
                self._log.warning("the handler of job %s would not stop; the job is given back", delivery.job.id)
                self._exchange.let_go([delivery])
                self._give_back(hold([delivery.job], self._exchange.held))

    async def _until_aborted(self, tasks: set[asyncio.Task[None]] | set[asyncio.Future[Any]]) -> None:
        while (waiting := {task for task in tasks if not task.done()}) and not self._aborted.done():
            await asyncio.wait({*waiting, self._aborted}, return_when=asyncio.FIRST_COMPLETED)

    # --- The keeper's side ----------------------------------------------------------------------

    def _kept_jobs(self) -> list[Job]:
        """Called from the keeper's thread; copying a set is atomic, since its members compare by identity."""
        return [delivery.job for delivery in list(self._exchange.held) if not delivery.completed]

    def _lost_soon(self, job: Job) -> None:
        """Called from the keeper's thread."""
        self._loop.call_soon_threadsafe(self._lost, job)

    def _lost(self, job: Job) -> None:
        """Cancel a handler whose job is another's now, since what it does from here on is done twice."""
        # By id and receipt, since a job whose reservation was lost may be delivered here again.
        for delivery in self._exchange.held:
            if (delivery.job.id, delivery.job.receipt) == (job.id, job.receipt):
                break
        else:
            return
        if delivery.completing or delivery.completed:
            return  # the handler's own doing; if its commit is refused after all, the next beat tells again
        if delivery.task is not None:
            delivery.lost = True
            delivery.task.cancel()
        elif self._slots.remove(delivery):
            self._exchange.settled([delivery], lost=[delivery])
