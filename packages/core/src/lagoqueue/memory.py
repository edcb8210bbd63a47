"""`MemoryQueue`: the whole contract in this process's memory, for tests and single-process programs.

One heap per label and priority holds the waiting jobs by due time, so a delayed job and a due one
need no separate structure; one more holds the reservations by expiry. A lock guards them, so any
thread may push. Waiting costs nothing: a pop sleeps on a future that a push resolves, with one
timer for the next moment at which something could come due.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from lagoqueue._heap import DelayHeap
from lagoqueue._line import Entry, Line
from lagoqueue._looking import Look
from lagoqueue._loop import call_in
from lagoqueue._time import Clock, Seconds, SystemClock, at_least_one, to_seconds
from lagoqueue.errors import DuplicateJob, JobNotFound, QueueClosed, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job, check_job
from lagoqueue.monitor.memory_failed import MemoryFailedJobs
from lagoqueue.monitor.views import JobDetail, JobPage, LiveState, QueueDepth
from lagoqueue.queue import Keeper, NamedQueue, Queue, Settlement, WorkerInfo

_CLOCK_STEP = 0.001
"""Seconds by which wall and monotonic clock may drift apart before that is taken for a change of the wall clock."""


class MemoryQueue(Queue):
    """A queue in RAM; its jobs are gone when the process ends.

    Args:
        visibility_timeout: How long a reservation lasts unless it is extended; a worker extends
            its own for as long as it lives.
        clock: The store's time; tests pass a `lagoqueue.testing.ManualClock`.

    Safe from threads. Pops may wait in several event loops at once.
    """

    def __init__(self, *, visibility_timeout: Seconds = timedelta(minutes=15), clock: Clock | None = None) -> None:
        super().__init__()
        self.visibility_timeout = to_seconds(visibility_timeout, "visibility_timeout", positive=True)
        self._clock: Clock = SystemClock() if clock is None else clock
        self._failed_jobs = MemoryFailedJobs(self._requeue, clock=self._clock.time)
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, Line] = {}
        self._reserved: DelayHeap[Entry] = DelayHeap()
        self._sequence = itertools.count()
        self._receipts = itertools.count(1)
        self._waiters: list[_Waiter] = []
        self._offset = self._clock.time() - self._clock.monotonic()
        self._closed = False

    @property
    def failed_jobs(self) -> MemoryFailedJobs:
        """Where `fail` puts jobs; its `retry` brings them back."""
        return self._failed_jobs

    # --- Push -----------------------------------------------------------------------------------

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return self.push_sync(job, delay=delay, exist_ok=exist_ok)

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        check_job(job)
        seconds = 0.0 if delay is None else to_seconds(delay, "delay")
        with self._lock:
            self._check_open()
            if job.id in self._entries:
                if exist_ok:
                    return False
                raise DuplicateJob(job.id)
            entry = Entry(job, next(self._sequence))
            self._entries[job.id] = entry
            now = self._clock.monotonic()
            due = now + seconds
            if delay is not None or job.available_at is None:
                entry.available_at = self._instant(seconds)
            else:
                entry.available_at = job.available_at
                due = self._due_at(job.available_at, now)
            self._wait_until(entry, now, due)
        return True

    def _due_at(self, instant: datetime, now: float) -> float:
        """Return an instant, past ones included, on the monotonic clock."""
        offset = self._clock.time() - now
        if abs(offset - self._offset) > _CLOCK_STEP:  # the wall clock was set
            self._offset = offset
        # One offset for all, since two readings of two clocks differ each time: jobs that are due
        # at one instant must stay in push order.
        return instant.timestamp() - self._offset

    def _instant(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self._clock.time() + seconds, UTC)

    def _wait_until(self, entry: Entry, now: float, due: float) -> None:
        """Put an entry into its line, and wake who may want it."""
        label = entry.job.queue
        line = self._waiting.get(label)
        if line is None:
            line = self._waiting[label] = Line()
        entry.receipt = None
        entry.due = due
        entry.handle = line.push(entry)
        if self._waiters:
            self._wake(label, everyone=due > now)

    def _wake(self, label: str, *, everyone: bool) -> None:
        """Wake one waiter that serves the label; all of them when they must set their timers anew."""
        for waiter in list(self._waiters):
            if label in waiter.labels:
                self._waiters.remove(waiter)
                if waiter.wake() and not everyone:
                    return

    # --- Pop ------------------------------------------------------------------------------------

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        return (await self.pop_many(1, wait, labels=labels))[0]

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        labels = self.labels if labels is None else labels
        at_least_one(limit, "limit")
        wait = to_seconds(wait, "wait")
        deadline: float | None = None
        while True:
            with self._lock:
                self._check_open()
                now = self._clock.monotonic()
                self._reclaim(now)
                jobs = self._claim(labels, limit, now)
                if jobs:
                    return jobs
                if deadline is None:
                    deadline = now + wait
                if now >= deadline:
                    raise QueueEmpty(f"no job came due in {', '.join(labels)} within {wait:g} s")
                waiter = _Waiter(asyncio.get_running_loop(), frozenset(labels))
                self._waiters.append(waiter)
                wake_at = min(deadline, self._next_event(labels, now))
            await self._sleep(waiter, wake_at)

    async def _sleep(self, waiter: _Waiter, wake_at: float) -> None:
        timer = self._clock.call_at(wake_at, waiter.resolve)
        try:
            await waiter.future
        except asyncio.CancelledError:
            with self._lock:
                if waiter not in self._waiters:  # it was woken for a job: let another take that
                    for label in waiter.labels:
                        self._wake(label, everyone=False)
            raise
        finally:
            timer.cancel()
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _next_event(self, labels: Sequence[str], now: float) -> float:
        """Return when to look again: a reservation made from now on expires no earlier than this."""
        lines = [self._waiting[label].next_due() for label in labels if label in self._waiting]
        return min([*lines, self._reserved.peek_due(), now + self.visibility_timeout])

    def _claim(self, labels: Sequence[str], limit: int, now: float) -> list[Job]:
        jobs: list[Job] = []
        for label in labels:
            line = self._waiting.get(label)
            if line is None:
                continue
            while len(jobs) < limit and (entry := line.pop_due(now)) is not None:
                jobs.append(self._reserve(entry, now))
            if not line:
                del self._waiting[label]
            if len(jobs) == limit:
                break
        return jobs

    def _reserve(self, entry: Entry, now: float) -> Job:
        old = entry.job
        entry.receipt = str(next(self._receipts))
        entry.reserved_at = now
        entry.reserved_until = now + self.visibility_timeout
        entry.handle = self._reserved.push(entry.reserved_until, entry)
        entry.job = Job(
            old.id,
            old.name,
            old.payload,
            old.attempts + 1,
            entry.available_at,
            old.queue,
            old.priority,
            old.headers,
            entry.receipt,
        )
        return entry.job

    def _reclaim(self, now: float) -> None:
        """Return every job whose reservation has expired, at the place it had."""
        while (entry := self._reserved.pop_due(now)) is not None:
            self._wait_until(entry, now, entry.due)

    # --- Settle ---------------------------------------------------------------------------------

    async def ack(self, job: Job) -> None:
        with self._lock:
            self._drop(self._owned(job))

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        delay = to_seconds(retry_after, "retry_after")
        with self._lock:
            self._return(self._owned(job), delay)

    async def release(self, job: Job, delay: float = 0.0) -> None:
        delay = to_seconds(delay, "delay")
        with self._lock:
            entry = self._owned(job)
            entry.job = msgspec.structs.replace(entry.job, attempts=entry.job.attempts - 1)
            self._return(entry, delay)

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        with self._lock:
            entry = self._owned(job)
            self._failed_jobs.put(entry.job, job.queue, failure or Failure("unknown", "unknown"))
            self._drop(entry)

    async def extend(self, job: Job) -> None:
        with self._lock:
            self._extend(job)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        lost: list[Job] = []
        for settlement in settlements:
            try:
                if settlement.action == "ack":
                    with self._lock:
                        self._drop(self._owned(settlement.job))
                else:
                    await self._settle_one(settlement)
            except ReservationLost:
                lost.append(settlement.job)
        return lost

    def _owned(self, job: Job) -> Entry:
        """Return the entry that this delivery reserves."""
        self._check_open()
        entry = self._entries.get(job.id)
        if entry is None or entry.receipt is None or entry.receipt != job.receipt:
            raise ReservationLost(job.id)
        return entry

    def _drop(self, entry: Entry) -> None:
        self._reserved.cancel(entry.handle)
        del self._entries[entry.job.id]

    def _return(self, entry: Entry, delay: float) -> None:
        self._reserved.cancel(entry.handle)
        entry.available_at = self._instant(delay)
        now = self._clock.monotonic()
        self._wait_until(entry, now, now + delay)

    def _extend(self, job: Job) -> None:
        entry = self._owned(job)
        self._reserved.cancel(entry.handle)
        entry.reserved_until = self._clock.monotonic() + self.visibility_timeout
        entry.handle = self._reserved.push(entry.reserved_until, entry)

    def keeper(self, info: WorkerInfo | None = None) -> Keeper | None:
        return _MemoryKeeper(self)

    async def _requeue(self, job: Job) -> None:
        await self.push(job)

    # --- Looking --------------------------------------------------------------------------------

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        with self._lock:
            self._check_open()
            labels = self.labels if labels is None else labels
            return sum(len(self._waiting[label]) for label in labels if label in self._waiting)

    def jobs(self) -> list[Job]:
        """Return every live job, waiting or reserved, in the order in which they were pushed."""
        with self._lock:
            return [entry.job for entry in sorted(self._entries.values(), key=lambda entry: entry.sequence)]

    def waiting(self, label: str, offset: int, limit: int) -> list[Job]:
        """Return a slice of the jobs that wait under a label, due or delayed, in pop order."""
        with self._lock:
            line = self._waiting.get(label)
            return [entry.job for entry in line.in_order()[offset : offset + limit]] if line else []

    def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any live job, sorted by label."""
        with self._lock:
            return self._look().depths()

    def browse(self, state: LiveState, queue: str | None, after: str | None, limit: int) -> JobPage:
        """Return some of the live jobs in one state, as `lagoqueue.monitor.DetailedInspector.jobs` says.

        Raises:
            InvalidValue: `after` is not the `next` of such a page.
        """
        with self._lock:
            return self._look().page(state, queue, after, limit)

    def find(self, job_id: str) -> JobDetail:
        """Return one live job whole.

        Raises:
            JobNotFound: No live job has this id.
        """
        with self._lock:
            look = self._look()
            entry = self._entries.get(job_id)
            if entry is None:
                raise JobNotFound(job_id)
            return look.detail(entry)

    def _look(self) -> Look:
        now = self._clock.monotonic()
        self._reclaim(now)  # an expired reservation is none
        return Look(self._waiting, self._reserved, now, self._clock.time() - now)

    # --- Views and lifecycle --------------------------------------------------------------------

    def named(self, *labels: str) -> NamedMemoryQueue:
        return NamedMemoryQueue(self, labels)

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this MemoryQueue was closed; make a new one to go on")


class NamedMemoryQueue(NamedQueue):
    """A named view of a `MemoryQueue`, which can push from any thread as well."""

    queue: MemoryQueue

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        return self.queue.push_sync(self._relabelled(job), delay=delay, exist_ok=exist_ok)


class _Waiter:
    """A pop that sleeps, in whichever event loop it was called."""

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


class _MemoryKeeper(Keeper):
    def __init__(self, queue: MemoryQueue) -> None:
        self.interval = queue.visibility_timeout / 3
        self._queue = queue

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        lost: list[Job] = []
        for job in jobs:
            try:
                with self._queue._lock:
                    self._queue._extend(job)
            except ReservationLost:
                lost.append(job)
            except QueueClosed:
                return list(jobs)
        return lost
