"""The contract in one list, as plain as it can be: what the kit is tested with, and broken variants start from."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from lagoqueue._time import to_seconds
from lagoqueue.errors import DuplicateJob, QueueClosed, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job, check_job
from lagoqueue.monitor import FailedJobs, MemoryFailedJobs
from lagoqueue.queue import Keeper, Queue, WorkerInfo
from lagoqueue.testing import ManualClock


@dataclass(eq=False)
class Row:
    job: Job
    due: float
    sequence: int
    until: float | None = None  # while it is reserved


class SimpleQueue(Queue):
    def __init__(self, clock: ManualClock, visibility_timeout: float = math.inf) -> None:
        super().__init__()
        self.clock = clock
        self.visibility_timeout = visibility_timeout
        self.store = MemoryFailedJobs(self.push, clock=clock.time)
        self.rows: list[Row] = []
        self.numbers = itertools.count(1)
        self.waiters: list[asyncio.Future[None]] = []
        self.closed = False

    @property
    def failed_jobs(self) -> FailedJobs:
        return self.store

    # --- Push and pop ---------------------------------------------------------------------------

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        self.check(job)
        seconds = None if delay is None else to_seconds(delay, "delay")
        self.check_open()
        if any(row.job.id == job.id for row in self.rows):
            if exist_ok:
                return False
            raise DuplicateJob(job.id)
        due = self.clock.time()
        if seconds is not None:
            due += seconds
        elif job.available_at is not None:
            due = job.available_at.timestamp()
        self.rows.append(Row(msgspec.structs.replace(job, receipt=None), due, next(self.numbers)))
        self.wake()
        return True

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        labels = labels or self.labels
        deadline = self.clock.monotonic() + to_seconds(wait, "wait")
        while True:
            self.check_open()
            self.reclaim()
            row = self.choose(labels)
            if row is not None:
                return await self.reserve(row)
            if self.clock.monotonic() >= deadline:
                raise QueueEmpty("nothing is due")
            await self.sleep(deadline)

    async def sleep(self, deadline: float) -> None:
        moments = [row.due if row.until is None else row.until for row in self.rows]
        wake_at = min([deadline, *(moment - self.clock.time() + self.clock.monotonic() for moment in moments)])
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        timer = self.clock.call_at(wake_at, lambda: self.resolve(waiter))
        try:
            await waiter
        finally:
            timer.cancel()
            self.waiters.remove(waiter)

    def resolve(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    def wake(self) -> None:
        for waiter in self.waiters:
            self.resolve(waiter)

    def choose(self, labels: Sequence[str]) -> Row | None:
        rows = [row for row in self.rows if row.until is None and row.job.queue in labels and self.is_due(row)]
        return min(rows, key=lambda row: (labels.index(row.job.queue), *self.place(row)), default=None)

    def place(self, row: Row) -> tuple[float, ...]:
        return (-row.job.priority, row.due, row.sequence)

    def is_due(self, row: Row) -> bool:
        return row.due <= self.clock.time()

    async def reserve(self, row: Row) -> Job:
        row.until = self.clock.time() + self.visibility_timeout
        row.job = msgspec.structs.replace(
            row.job,
            attempts=row.job.attempts + 1,
            available_at=datetime.fromtimestamp(row.due, UTC),
            receipt=self.new_receipt(row),
        )
        return row.job

    def new_receipt(self, row: Row) -> str:
        return str(next(self.numbers))

    def reclaim(self) -> None:
        for row in self.rows:
            if row.until is not None and row.until <= self.clock.time():
                row.until = None

    # --- Settle ---------------------------------------------------------------------------------

    def owned(self, job: Job) -> Row:
        self.check_open()
        for row in self.rows:
            if row.job.id == job.id and row.until is not None and self.is_holder(row, job):
                return row
        raise ReservationLost(job.id)

    def is_holder(self, row: Row, job: Job) -> bool:
        return row.job.receipt == job.receipt

    async def ack(self, job: Job) -> None:
        self.rows.remove(self.owned(job))

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        self.give_back(self.owned(job), to_seconds(retry_after, "retry_after"))

    async def release(self, job: Job, delay: float = 0.0) -> None:
        row, seconds = self.owned(job), to_seconds(delay, "delay")
        row.job = msgspec.structs.replace(row.job, attempts=row.job.attempts - 1)
        self.give_back(row, seconds)

    def give_back(self, row: Row, delay: float) -> None:
        row.until = None
        row.due = self.clock.time() + delay
        self.wake()

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        row = self.owned(job)
        self.rows.remove(row)
        self.store.put(job, job.queue, failure or Failure("unknown", "unknown"))

    async def extend(self, job: Job) -> None:
        self.extend_now(job)

    def extend_now(self, job: Job) -> None:
        self.owned(job).until = self.clock.time() + self.visibility_timeout

    def keeper(self, info: WorkerInfo | None = None) -> Keeper:
        return SimpleKeeper(self)

    # --- The rest -------------------------------------------------------------------------------

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        self.check_open()
        return sum(row.until is None and row.job.queue in (labels or self.labels) for row in self.rows)

    def check(self, job: Job) -> None:
        check_job(job)

    def check_open(self) -> None:
        if self.closed:
            raise QueueClosed("closed")

    async def close(self) -> None:
        self.closed = True
        self.wake()


class SimpleKeeper(Keeper):
    def __init__(self, queue: SimpleQueue) -> None:
        self.queue = queue
        self.interval = queue.visibility_timeout / 3

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        lost = []
        for job in jobs:
            try:
                self.queue.extend_now(job)
            except ReservationLost:
                lost.append(job)
        return lost
