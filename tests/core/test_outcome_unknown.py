"""A connection lost while the store was answering: the operation may have been done, and is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lagoqueue import DriverError, Job, MemoryQueue, OutcomeUnknown, Queue, Settlement, Worker, dispatch
from lagoqueue.testing import ManualClock
from tests.core.payloads import Resize
from tests.core.recorder import Recorder


class Unsure(MemoryQueue):
    """Does what it is asked, and loses the answer of the next pop or settle when told to."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(visibility_timeout=60, clock=clock)
        self.loses_pop = self.loses_settle = False
        self.lost_answer = asyncio.Event()

    turn = Queue.turn  # by way of these

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        jobs = await super().pop_many(limit, wait, labels=labels)
        if self.loses_pop:
            self.loses_pop = False
            self._lose()
        return jobs

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        lost = await super().settle(settlements)
        if self.loses_settle:
            self.loses_settle = False
            self._lose()
        return lost

    def _lose(self) -> None:
        self.lost_answer.set()
        raise OutcomeUnknown("the server closed the connection")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lagoqueue.exchange._FIRST_PAUSE", 0.001)
    monkeypatch.setattr("lagoqueue.settler._FIRST_PAUSE", 0.001)


def test_it_is_a_driver_error() -> None:
    assert issubclass(OutcomeUnknown, DriverError)


async def test_jobs_of_a_pop_whose_answer_was_lost_come_back_and_the_worker_runs_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    queue = Unsure(clock)
    queue.loses_pop = True
    recorder = Recorder()
    worker = Worker(queue, poll=3600, observers=[recorder])
    ran = asyncio.Event()

    @worker.handle(Resize)
    async def note(payload: Resize) -> None:
        ran.set()

    await dispatch(queue, Resize(1))
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(queue.lost_answer.wait(), 10)
    await clock.elapse(61)
    await asyncio.wait_for(ran.wait(), 10)
    worker.stop()
    await asyncio.wait_for(task, 10)
    assert "fetching jobs failed, again in 0.001 s: OutcomeUnknown: the server closed the connection" in caplog.text
    assert recorder.events == [("started", "Resize", 2), ("processed", "Resize", 2)]
    assert queue.jobs() == []


async def test_a_settle_whose_answer_was_lost_is_repeated_as_one_batch(caplog: pytest.LogCaptureFixture) -> None:
    queue = Unsure(ManualClock())
    queue.loses_settle = True
    recorder = Recorder()
    worker = Worker(queue, observers=[recorder])
    worker.handle(Resize, lambda payload: None)
    await dispatch(queue, Resize(1))
    await dispatch(queue, Resize(2))
    await asyncio.wait_for(worker.run(burst=True), 10)
    assert "settling 1 jobs failed, again in 0.001 s: the server closed the connection" in caplog.text
    assert "could not" not in caplog.text
    assert recorder.names() == ["started", "lost", "started", "processed"], "this store cannot tell that it was done"
    assert queue.jobs() == []


async def test_a_push_whose_answer_was_lost_may_be_repeated() -> None:
    class LosesPush(Unsure):
        async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
            stored = await super().push(job, delay=delay, exist_ok=exist_ok)
            if not self.lost_answer.is_set():
                self._lose()
            return stored

    queue = LosesPush(ManualClock())
    with pytest.raises(OutcomeUnknown):
        await dispatch(queue, Resize(1), id="resize-1")
    await dispatch(queue, Resize(1), id="resize-1", exist_ok=True)
    assert [job.id for job in queue.jobs()] == ["resize-1"]
