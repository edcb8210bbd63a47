"""The default bodies of `Queue`: a driver of five primitives gets the rest of the contract from them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest

from lagoqueue import Failure, InvalidValue, Job, Queue, QueueEmpty, ReservationLost, Settlement, Worker, dispatch
from lagoqueue.monitor import MemoryFailedJobs
from tests.core.payloads import Resize


class FivePrimitives(Queue):
    """The least that a third party writes; its reservations never expire."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Job] = []
        self.reserved: dict[str, Job] = {}
        self.receipts = itertools.count()
        self.store: MemoryFailedJobs | None = None

    @property
    def failed_jobs(self) -> MemoryFailedJobs | None:
        return self.store

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        self.waiting.append(job)
        return True

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        for job in self.waiting:
            if job.queue in (labels or self.labels):
                self.waiting.remove(job)
                popped = msgspec.structs.replace(job, attempts=job.attempts + 1, receipt=str(next(self.receipts)))
                self.reserved[job.id] = popped
                return popped
        raise QueueEmpty

    def take(self, job: Job) -> Job:
        if self.reserved.get(job.id) != job:
            raise ReservationLost(job.id)
        return self.reserved.pop(job.id)

    async def ack(self, job: Job) -> None:
        self.take(job)

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        self.waiting.append(self.take(job))

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        return sum(job.queue in (labels or self.labels) for job in self.waiting)


def jobs(count: int) -> list[Job]:
    return [Job(str(number), "Resize", b'{"width": 1}') for number in range(count)]


async def test_batches_are_made_of_single_calls() -> None:
    queue = FivePrimitives()
    assert await queue.push_many(jobs(5)) == 5
    popped = await queue.pop_many(3)
    assert [job.id for job in popped] == ["0", "1", "2"]
    assert [job.id for job in await queue.pop_many(9)] == ["3", "4"]
    with pytest.raises(QueueEmpty):
        await queue.pop_many(1)


async def test_settle_tells_which_were_lost() -> None:
    queue = FivePrimitives()
    await queue.push_many(jobs(4))
    acked, nacked, failed, gone = await queue.pop_many(4)
    await queue.ack(gone)
    lost = await queue.settle(
        [
            Settlement(gone, "ack"),
            Settlement(acked, "ack"),
            Settlement(nacked, "nack", 1.0),
            Settlement(failed, "fail", failure=Failure("ValueError", "ValueError: x")),
        ]
    )
    assert lost == [gone]
    assert await queue.size() == 1


async def test_fail_records_where_there_is_a_store() -> None:
    queue = FivePrimitives()
    store = queue.store = MemoryFailedJobs()
    await queue.push_many(jobs(1))
    job = await queue.pop()
    await queue.fail(job, Failure("ValueError", "ValueError: x"))
    assert [(failed.id, failed.error) for failed in await store.list()] == [("0", "ValueError: x")]
    assert queue.reserved == {}


async def test_such_a_driver_runs_under_a_worker() -> None:
    queue = FivePrimitives()
    gave_up: list[str] = []
    worker = Worker(queue.named("a", "b"), max_retry=2, backoff=0, on_failed=lambda job, error: gave_up.append(job.id))

    @worker.handle(Resize)
    async def odd_ones_fail(payload: Resize) -> None:
        if payload.width % 2:
            raise ValueError

    await dispatch(queue.named("b"), Resize(1), id="odd")
    await dispatch(queue.named("a"), Resize(2))
    await worker.run(burst=True)
    assert gave_up == ["odd"]
    assert (queue.waiting, queue.reserved) == ([], {})


def test_a_view_needs_labels_that_differ() -> None:
    for labels in ((), ("a", "a")):
        with pytest.raises(InvalidValue, match=r"named\(\)"):
            FivePrimitives().named(*labels)


async def test_a_view_shares_its_queues_store_and_observers() -> None:
    queue = FivePrimitives()
    view = queue.named("a")
    assert view.observers is queue.observers
    assert view.named("b").labels == ("b",)
    async with view:
        await view.push(Job("1", "Resize", b"{}", queue="elsewhere"))
    assert [job.queue for job in queue.waiting] == ["a"]
