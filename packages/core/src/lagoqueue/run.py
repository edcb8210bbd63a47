"""`Run`: one run of a worker. A fetcher fills a buffer, slots empty it, a settler ends what they did.

The slots are tasks that live as long as the run, so a job costs no task of its own. A job counts as
held from its reservation until it is settled, and no more are held than concurrency + prefetch: at
concurrency 1 that is the strict loop of pop, run, ack, pop.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from dataclasses import dataclass
from typing import Any

from lagoqueue._log import Log
from lagoqueue.delivery import Delivery, given_back
from lagoqueue.errors import QueueClosed, QueueEmpty
from lagoqueue.execution import Execution
from lagoqueue.job import Job
from lagoqueue.keeping import KeeperThread
from lagoqueue.queue import Queue, WorkerInfo
from lagoqueue.reporting import Reporter
from lagoqueue.settler import Settler
from lagoqueue.slot_thread import SlotThread

_TURN = 0.005
"""Seconds for which a slot may run handlers that never suspend before the loop gets its turn."""

_LAST_WAIT = 1.0
"""Seconds that each part gets to end once the grace period is over."""

Key = tuple[str, str | None]

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
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
        self._burst = burst
        self._loop = asyncio.get_running_loop()
        # By id and receipt, since a job whose reservation was lost may be delivered here again.
        self._held: dict[Key, Job] = {}
        self._unstarted: set[Key] = set()
        self._running: dict[Key, Delivery] = {}
        self._buffer: asyncio.Queue[Job | None] = asyncio.Queue()
        self._settler = Settler(queue, self._settled, self._let_go, log)
        self._changed = asyncio.Event()
        self._settlements = 0
        self._stopping: asyncio.Future[None] = self._loop.create_future()
        self._aborted: asyncio.Future[None] = self._loop.create_future()
        self._grace_timer: asyncio.TimerHandle | None = None
        self._context = contextvars.copy_context()
        self._slots: set[asyncio.Task[None]] = set()
        self._closed: QueueClosed | None = None
        self._fetcher: asyncio.Task[None] | None = None

    # --- Start, stop, drain ---------------------------------------------------------------------

    async def main(self) -> None:
        """Run until stopped, cancelled, or (in a burst) until nothing is due; then drain."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        keeper = self._queue.keeper(WorkerInfo(self._queue.labels, self._limits.concurrency, name))
        beat = None if keeper is None else KeeperThread(keeper, self._held_jobs, self._lost_soon, self._log)
        settler = asyncio.create_task(self._settler.run(), name="lagoqueue-settler")
        fetcher = self._fetcher = asyncio.create_task(self._fetch(), name="lagoqueue-fetcher")
        for number in range(self._limits.concurrency):
            self._start_slot(number)
        cancelled = False
        try:
            await asyncio.wait({fetcher, settler, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            cancelled = True
        if self._grace_timer is None:
            self.stop(self._limits.grace)
        drain = asyncio.create_task(self._drain(fetcher, settler, beat), name="lagoqueue-drain")
        while not drain.done():
            try:
                await asyncio.shield(drain)
            except asyncio.CancelledError:
                cancelled = True
                self.stop(0.0)
        for task in (drain, fetcher, settler):
            if task.done() and not task.cancelled():
                task.result()  # raises only what would be a bug of ours
        if cancelled:
            raise asyncio.CancelledError
        if self._closed is not None:
            raise self._closed

    def stop(self, grace: float) -> None:
        """Stop fetching, and cancel what still runs in `grace` seconds; a later call may shorten it."""
        if not self._stopping.done():
            self._stopping.set_result(None)
            if self._fetcher is not None:
                self._fetcher.cancel()
            self._give_back_unstarted()
        when = self._loop.time() + grace
        if self._grace_timer is not None:
            if self._grace_timer.when() <= when:
                return
            self._grace_timer.cancel()
        self._grace_timer = self._loop.call_at(when, self._abort)

    def _give_back_unstarted(self) -> None:
        while not self._buffer.empty():
            job = self._buffer.get_nowait()
            if job is not None and self._begin(job):
                self._settler.add(given_back(job))

    def _abort(self) -> None:
        self._execution.aborting = True
        if not self._aborted.done():
            self._aborted.set_result(None)

    async def _drain(self, fetcher: asyncio.Task[None], settler: asyncio.Task[None], beat: KeeperThread | None) -> None:
        """Let running handlers end, give the rest back, and stop the keeper last of all."""
        await asyncio.wait({fetcher}, timeout=_LAST_WAIT)
        self._give_back_unstarted()  # what a fetch that was under way brought
        for _ in self._slots:
            self._buffer.put_nowait(None)
        await self._until_aborted(self._slots)
        for slot in self._slots:
            slot.cancel()
        if self._slots:
            await asyncio.wait(set(self._slots), timeout=_LAST_WAIT)
        for delivery in self._running.values():
            if delivery.completed:
                self._log.warning("the handler of job %s would not stop; the job is done already", delivery.job.id)
                self._settled(delivery, lost=False)
            else:
                self._log.warning("the handler of job %s would not stop; the job is given back", delivery.job.id)
                self._settler.add(given_back(delivery.job))
        self._settler.close()
        await self._until_aborted({settler})
        if not settler.done():
            await asyncio.wait({settler}, timeout=_LAST_WAIT)
        if not settler.done():
            settler.cancel()
            self._log.error("%d jobs could not be settled in time and will be redelivered", len(self._held))
        await self._until_aborted(self._reporter.hooks)
        for hook in self._reporter.hooks:
            hook.cancel()
        if beat is not None:
            await asyncio.to_thread(beat.stop, _LAST_WAIT)
        if self._grace_timer is not None:
            self._grace_timer.cancel()

    async def _until_aborted(self, tasks: set[asyncio.Task[None]] | set[asyncio.Future[Any]]) -> None:
        while (waiting := {task for task in tasks if not task.done()}) and not self._aborted.done():
            await asyncio.wait({*waiting, self._aborted}, return_when=asyncio.FIRST_COMPLETED)

    # --- Fetch ----------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            room = await self._room()
            before = self._settlements
            try:
                jobs = await self._queue.pop_many(room, 0.0 if self._burst else self._limits.poll)
            except QueueEmpty:
                pause = _FIRST_PAUSE
                await asyncio.sleep(0)  # a driver that does not wait must not stop the loop
                if self._burst and self._settlements == before:  # else one may have come back just now
                    if not self._held:
                        return
                    await self._something_settled()
            except QueueClosed as error:
                self._log.error("the queue was closed under the worker, which stops")
                self._closed = error
                return
            except Exception as error:
                self._log.warning("fetching jobs failed, again in %g s: %s: %s", pause, type(error).__name__, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                for job in jobs:
                    key = job.id, job.receipt
                    self._held[key] = job
                    self._unstarted.add(key)
                    self._buffer.put_nowait(job)

    async def _room(self) -> int:
        """Wait until more jobs can start soon; return how many. Refills a half-empty buffer, not each gap."""
        most = self._limits.concurrency + self._limits.prefetch
        while (room := most - len(self._held)) <= 0 or self._buffer.qsize() > self._limits.prefetch // 2:
            await self._something_settled()
        return room

    async def _something_settled(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # --- Run ------------------------------------------------------------------------------------

    def _start_slot(self, number: int) -> None:
        slot = self._loop.create_task(self._slot(number), name=f"lagoqueue-slot-{number}", context=self._context.copy())
        self._slots.add(slot)
        slot.add_done_callback(lambda slot: self._slot_ended(slot, number))

    def _slot_ended(self, slot: asyncio.Task[None], number: int) -> None:
        self._slots.discard(slot)
        if slot.cancelled() or self._execution.aborting:
            return
        if (error := slot.exception()) is not None:
            self._log.error("slot %d failed and is replaced", number, exc_info=error)
            self._start_slot(number)

    async def _slot(self, number: int) -> None:
        """Run one job after another, until told to end or until a handler has changed the context."""
        thread = SlotThread(f"lagoqueue-slot-{number}")
        turn_ends = self._loop.time() + _TURN
        try:
            while (job := await self._buffer.get()) is not None:
                await self._execute(job, thread)
                if contextvars.copy_context() != self._context:
                    # The handler set a context variable. The next job must not see it, so a new
                    # slot, with the context as it was, takes over.
                    self._start_slot(number)
                    return
                if self._loop.time() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = self._loop.time() + _TURN
        finally:
            thread.stop()

    def _begin(self, job: Job) -> bool:
        """Take a job that was fetched; False when its reservation was lost while it waited here."""
        key = job.id, job.receipt
        if key not in self._unstarted:
            return False
        self._unstarted.discard(key)
        return True

    async def _execute(self, job: Job, thread: SlotThread) -> None:
        self._changed.set()  # there is room in the buffer
        if not self._begin(job):
            return
        key = job.id, job.receipt
        delivery = self._execution.decode(job)
        if delivery.error is None:
            self._running[key] = delivery
            self._reporter.started(job)
            try:
                await self._execution.run(delivery, thread)
            except BaseException:  # the slot is being closed: leave the job to its visibility timeout
                self._let_go(delivery)
                raise
            finally:
                del self._running[key]
        if not delivery.completed:
            self._execution.decide(delivery)
            self._settler.add(delivery)
        elif key in self._held:  # else the drain did not wait for it, and has reported it
            self._settled(delivery, lost=False)

    # --- Settle and report ----------------------------------------------------------------------

    def _settled(self, delivery: Delivery, lost: bool) -> None:
        self._let_go(delivery)
        self._reporter.report(delivery, lost)

    def _let_go(self, delivery: Delivery) -> None:
        self._held.pop((delivery.job.id, delivery.job.receipt), None)
        self._settlements += 1
        self._changed.set()

    # --- The keeper's side ----------------------------------------------------------------------

    def _held_jobs(self) -> list[Job]:
        """Called from the keeper's thread; copying a dict's values is atomic."""
        running, held = list(self._running.values()), list(self._held.values())
        completed = {(delivery.job.id, delivery.job.receipt) for delivery in running if delivery.completed}
        return [job for job in held if (job.id, job.receipt) not in completed]

    def _lost_soon(self, job: Job) -> None:
        """Called from the keeper's thread."""
        self._loop.call_soon_threadsafe(self._lost, job)

    def _lost(self, job: Job) -> None:
        """Cancel a handler whose job is another's now, since what it does from here on is done twice."""
        key = job.id, job.receipt
        delivery = self._running.get(key)
        if delivery is not None and (delivery.completing or delivery.completed):
            return  # the handler's own doing; if its commit is refused after all, the next beat tells again
        if delivery is not None and delivery.task is not None:
            delivery.lost = True
            delivery.task.cancel()
        elif key in self._unstarted:
            self._unstarted.discard(key)
            self._settled(Delivery(job), lost=True)
