"""`MemoryQueue`: the whole contract in this process's memory, for tests and single-process programs.

`Store` has the jobs, and does each operation in one atomic step, so any thread may push. Waiting costs
nothing: a pop sleeps on a future that a push resolves, with one timer for the next moment at
which something could come due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from lagoqueue._looking import Look
from lagoqueue._store import Store
from lagoqueue._time import Clock, Seconds, SystemClock, at_least_one, to_seconds
from lagoqueue._waiting import Waiters
from lagoqueue.errors import QueueClosed, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor.memory_failed import MemoryFailedJobs
from lagoqueue.monitor.views import JobDetail, JobPage, LiveState, QueueDepth
from lagoqueue.queue import Keeper, NamedQueue, Queue, Settlement, Turn, WorkerInfo


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
        self._clock: Clock = SystemClock() if clock is None else clock
        self._waiters = Waiters(self._clock)
        timeout = to_seconds(visibility_timeout, "visibility_timeout", positive=True)
        self._store = Store(self._clock, timeout, self._waiters)
        self._failed_jobs = MemoryFailedJobs(self._requeue, clock=self._clock.time)

    @property
    def visibility_timeout(self) -> float:
        """How long a reservation lasts, in seconds."""
        return self._store.visibility_timeout

    @property
    def failed_jobs(self) -> MemoryFailedJobs:
        """Where `fail` puts jobs; its `retry` brings them back."""
        return self._failed_jobs

    # --- Push -----------------------------------------------------------------------------------

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return self._store.push(job, delay, exist_ok)

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        return sum([self._store.push(job, delay, exist_ok) for job in jobs])

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        return self._store.push(job, delay, exist_ok)

    async def _requeue(self, job: Job) -> None:
        self._store.push(job, None, False)

    # --- Pop ------------------------------------------------------------------------------------

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        if wait != 0.0:
            return (await self.pop_many(1, wait, labels=labels))[0]
        job = self._store.pop(self.labels if labels is None else labels)
        if job is None:
            raise _empty(self.labels if labels is None else labels, wait)
        return job

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        labels = self.labels if labels is None else labels
        at_least_one(limit, "limit")
        wait = to_seconds(wait, "wait")
        deadline: float | None = None
        while not (jobs := self._store.pop_many(labels, limit)):
            now = self._clock.monotonic()
            deadline = now + wait if deadline is None else deadline
            if now >= deadline:
                raise _empty(labels, wait)
            await self._waiters.sleep(labels, partial(self._store.next_event, labels, deadline))
        return jobs

    # --- Settle ---------------------------------------------------------------------------------

    async def ack(self, job: Job) -> None:
        self._store.ack(job)

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        self._store.give_back(job, to_seconds(retry_after, "retry_after"), attempt=False)

    async def release(self, job: Job, delay: float = 0.0) -> None:
        self._store.give_back(job, to_seconds(delay, "delay"), attempt=True)

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        self._store.extend(job)  # refuses a lost reservation before anything is recorded
        self._failed_jobs.put(job, job.queue, failure or Failure("unknown", "unknown"))
        self._store.ack(job)

    async def extend(self, job: Job) -> None:
        self._store.extend(job)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        lost: list[Job] = []
        for settlement in self._store.ack_many(settlements):
            try:
                await self._settle_one(settlement)
            except ReservationLost:
                lost.append(settlement.job)
        return lost

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        at_least_one(limit, "limit")
        lost = await self.settle(settlements)
        return Turn(self._store.pop_many(self.labels if labels is None else labels, limit), lost)

    def keeper(self, info: WorkerInfo | None = None) -> Keeper | None:
        return _MemoryKeeper(self._store)

    # --- Looking --------------------------------------------------------------------------------

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        return self._store.size(self.labels if labels is None else labels)

    def jobs(self) -> list[Job]:
        """Return every live job, waiting or reserved, in the order in which they were pushed."""
        return self._store.jobs()

    def waiting(self, label: str, offset: int, limit: int) -> list[Job]:
        """Return a slice of the jobs that wait under a label, due or delayed, in pop order."""
        return self._look().waiting(label, offset, limit)

    def depths(self) -> list[QueueDepth]:
        """Return what stands under each label that has any live job, sorted by label."""
        return self._look().depths()

    def browse(self, state: LiveState, queue: str | None, after: str | None, limit: int) -> JobPage:
        """Return some of the live jobs in one state, as `lagoqueue.monitor.DetailedInspector.jobs` says.

        Raises:
            InvalidValue: `after` is not the `next` of such a page.
        """
        return self._look().page(state, queue, after, limit)

    def find(self, job_id: str) -> JobDetail:
        """Return one live job whole.

        Raises:
            JobNotFound: No live job has this id.
        """
        return self._look().detail(job_id)

    def _look(self) -> Look:
        now = self._clock.monotonic()
        return Look(self._store, now, self._clock.time() - now)

    # --- Views and lifecycle --------------------------------------------------------------------

    def named(self, *labels: str) -> NamedMemoryQueue:
        return NamedMemoryQueue(self, labels)

    async def close(self) -> None:
        self._store.close()
        self._waiters.wake_all()


class NamedMemoryQueue(NamedQueue):
    """A named view of a `MemoryQueue`, which can push from any thread as well."""

    queue: MemoryQueue

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push from any thread, with or without an event loop; see `Queue.push`."""
        return self.queue.push_sync(self._relabelled(job), delay=delay, exist_ok=exist_ok)


class _MemoryKeeper(Keeper):
    def __init__(self, store: Store) -> None:
        self.interval = store.visibility_timeout / 3
        self._store = store

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        lost: list[Job] = []
        for job in jobs:
            try:
                self._store.extend(job)
            except ReservationLost:
                lost.append(job)
            except QueueClosed:
                return list(jobs)
        return lost


def _empty(labels: Sequence[str], wait: float) -> QueueEmpty:
    return QueueEmpty(f"no job came due in {', '.join(labels)} within {wait:g} s")
