"""Drivers with one fault each, as drivers have them in the field."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from lagoqueue.errors import ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Keeper, Settlement, WorkerInfo
from tests.core.testing.simple_queue import Row, SimpleKeeper, SimpleQueue


class NoFence(SimpleQueue):
    """Settles by id."""

    def is_holder(self, row: Row, job: Job) -> bool:
        return True


class FenceByAttempts(SimpleQueue):
    """Takes the attempt for a receipt, which repeats when an attempt is given back."""

    def new_receipt(self, row: Row) -> str:
        return str(row.job.attempts)


class AcceptsNoReceipt(SimpleQueue):
    """Takes a job without a receipt for one that need not be checked."""

    def is_holder(self, row: Row, job: Job) -> bool:
        return job.receipt in (None, row.job.receipt)


class StaleNackCounts(SimpleQueue):
    """Fences `ack`, but not `nack`."""

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        for row in self.rows:
            if row.job.id == job.id:
                self.give_back(row, retry_after)


class Early(SimpleQueue):
    """Knows no delays."""

    def is_due(self, row: Row) -> bool:
        return True


class DoubleDelivery(SimpleQueue):
    """Reads, then writes, with others in between."""

    async def reserve(self, row: Row) -> Job:
        await asyncio.sleep(0)
        return await super().reserve(row)


class LastInFirstOut(SimpleQueue):
    """A stack."""

    def place(self, row: Row) -> tuple[float, ...]:
        return (-row.job.priority, -row.due, -row.sequence)


class NoPriority(SimpleQueue):
    """First in, first out, whatever the priority."""

    def place(self, row: Row) -> tuple[float, ...]:
        return (row.due, row.sequence)


class PushOrderOnly(SimpleQueue):
    """Sorts by row number, so that a failing job comes again before all others."""

    def place(self, row: Row) -> tuple[float, ...]:
        return (-row.job.priority, row.sequence)


class DropsOnFail(SimpleQueue):
    """Removes a failed job and records nothing."""

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        await self.ack(job)


class CopiesOnFail(SimpleQueue):
    """Records a failed job and leaves it in the queue."""

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        self.owned(job)
        await self.store.record(job, job.queue, failure or Failure("unknown", "unknown"))


class CountsWhenSettled(SimpleQueue):
    """Counts an attempt when it ends, so one that kills its worker never counts."""

    async def reserve(self, row: Row) -> Job:
        job = await super().reserve(row)
        row.job = msgspec.structs.replace(job, attempts=job.attempts - 1)
        return row.job

    def give_back(self, row: Row, delay: float) -> None:
        row.job = msgspec.structs.replace(row.job, attempts=row.job.attempts + 1)
        super().give_back(row, delay)


class ReleaseSpends(SimpleQueue):
    """Releases by nack."""

    async def release(self, job: Job, delay: float = 0.0) -> None:
        await self.nack(job, delay)


class NeverExpires(SimpleQueue):
    """Leaves a dead worker its jobs."""

    def reclaim(self) -> None:
        pass


class ExtendDoesNothing(SimpleQueue):
    """Says that the reservation runs on, and lets it expire."""

    def extend_now(self, job: Job) -> None:
        self.owned(job)


class BeatsForShow(SimpleQueue):
    """Notes that the worker is alive, and forgets what it holds."""

    class OnlyABeat(SimpleKeeper):
        def beat(self, jobs: Sequence[Job]) -> list[Job]:
            return []

    def keeper(self, info: WorkerInfo | None = None) -> Keeper:
        return self.OnlyABeat(self)


class CannotBeatIdly(SimpleQueue):
    """Takes for granted that a worker holds something."""

    class AlwaysBusy(SimpleKeeper):
        def beat(self, jobs: Sequence[Job]) -> list[Job]:
            return [jobs[0], *self.extend(jobs[1:])]

    def keeper(self, info: WorkerInfo | None = None) -> Keeper:
        return self.AlwaysBusy(self)


class NoRetryDelay(SimpleQueue):
    """Gives every returned job out again at once."""

    def give_back(self, row: Row, delay: float) -> None:
        super().give_back(row, 0.0)


class NobodyWakes(SimpleQueue):
    """Lets a pop sleep until its wait is over."""

    def wake(self) -> None:
        pass


class SwallowsWakeUps(SimpleQueue):
    """Wakes one waiter for each push, and does not ask what became of it."""

    def wake(self) -> None:
        if self.closed:
            super().wake()
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
                return


class LabelBlind(SimpleQueue):
    """Gives any job to anybody."""

    def choose(self, labels: Sequence[str]) -> Row | None:
        return super().choose([*labels, *sorted({row.job.queue for row in self.rows} - set(labels))])


class TrimsIds(SimpleQueue):
    """Compares ids as a database with a forgiving collation does."""

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return await super().push(
            msgspec.structs.replace(job, id=job.id.strip().lower() or job.id), delay=delay, exist_ok=exist_ok
        )


class TextPayload(SimpleQueue):
    """Keeps payloads as text."""

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        self.check(job)
        text = job.payload.decode("utf-8", "replace")
        return await super().push(msgspec.structs.replace(job, payload=text.encode()), delay=delay, exist_ok=exist_ok)


class Overwrites(SimpleQueue):
    """Replaces a live job by a new one of its id."""

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        self.rows = [row for row in self.rows if row.job.id != job.id]
        return await super().push(job, delay=delay, exist_ok=exist_ok)


class AcceptsAnything(SimpleQueue):
    """Stores what other stores refuse."""

    def check(self, job: Job) -> None:
        pass


class LosesNothing(SimpleQueue):
    """Says of a batch that all of it was settled."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        await super().settle(settlements)
        return []


class StopsAtTheFirstLost(SimpleQueue):
    """Gives up on a batch at the first lost reservation."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        for settlement in settlements:
            try:
                await self._settle_one(settlement)
            except ReservationLost:
                return [settlement.job]
        return []


class ClosesSilently(SimpleQueue):
    """Leaves waiting pops waiting."""

    async def close(self) -> None:
        self.closed = True


class CountsReserved(SimpleQueue):
    """Counts every row."""

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        self.check_open()
        return sum(row.job.queue in (labels or self.labels) for row in self.rows)
