"""`drain` runs what is due and is loud about what went wrong."""

from __future__ import annotations

import pytest

from lagoqueue import Fail, MemoryQueue, PayloadDecodeError, Retry, Snooze, UnknownJob, Worker, dispatch, dispatch_after
from lagoqueue.job import Job
from lagoqueue.testing import ManualClock, drain
from tests.core.payloads import Charge, Resize


class Rig:
    def __init__(self, max_retry: int = 3, backoff: float = 5.0, concurrency: int = 1) -> None:
        self.clock = ManualClock()
        self.queue = MemoryQueue(clock=self.clock)
        self.worker = Worker(self.queue, max_retry=max_retry, backoff=backoff, concurrency=concurrency)
        self.seen: list[int] = []
        self.raises: list[BaseException] = []
        self.worker.handle(Resize, self.resize)

    async def resize(self, payload: Resize) -> None:
        self.seen.append(payload.width)
        if self.raises:
            raise self.raises.pop(0)


async def test_it_runs_what_is_due_and_returns() -> None:
    rig = Rig()
    for width in (1, 2, 3):
        await dispatch(rig.queue, Resize(width))
    await dispatch_after(rig.queue, Resize(4), 60)
    report = await drain(rig.worker)
    assert rig.seen == [1, 2, 3]
    assert [len(report.processed), len(report.failed), report.errors] == [3, 0, []]
    assert await rig.queue.size() == 1
    await rig.clock.elapse(60)
    await drain(rig.worker)
    assert rig.seen == [1, 2, 3, 4]


async def test_it_runs_what_handlers_dispatch() -> None:
    rig = Rig()

    @rig.worker.handle(Charge)
    async def charge(payload: Charge) -> None:
        await dispatch(rig.queue, Resize(7))

    await dispatch(rig.queue, Charge("o-1", 5))
    await drain(rig.worker)
    assert rig.seen == [7]


async def test_one_error_is_raised_itself_and_its_retry_stays_delayed() -> None:
    rig = Rig()
    error = ValueError("no such picture")
    rig.raises = [error]
    await dispatch(rig.queue, Resize(1))
    with pytest.raises(ValueError, match="no such picture") as caught:
        await drain(rig.worker)
    assert caught.value is error
    assert await rig.queue.size() == 1
    await rig.clock.elapse(5)
    assert len((await drain(rig.worker)).processed) == 1
    assert rig.seen == [1, 1]


async def test_several_errors_are_raised_together() -> None:
    rig = Rig(max_retry=2, backoff=0.0, concurrency=2)
    rig.raises = [ValueError("a"), KeyError("b"), OSError("c")]
    await dispatch(rig.queue, Resize(1))
    await dispatch(rig.queue, Resize(2))
    with pytest.RaisesGroup(ValueError, KeyError, OSError):
        await drain(rig.worker)


async def test_errors_may_be_looked_at_instead() -> None:
    rig = Rig(max_retry=1)
    rig.raises = [ValueError("a")]
    await dispatch(rig.queue, Resize(1))
    report = await drain(rig.worker, raise_errors=False)
    assert [str(error) for error in report.errors] == ["a"]
    assert [len(report.failed), len(report.retried)] == [1, 0]
    assert await rig.queue.failed_jobs.count() == 1


async def test_retry_and_snooze_are_no_errors_and_fail_is_one() -> None:
    rig = Rig()
    rig.raises = [Retry(30), Snooze(30)]
    await dispatch(rig.queue, Resize(1))
    await dispatch(rig.queue, Resize(2))
    report = await drain(rig.worker)
    assert [len(report.retried), len(report.released)] == [1, 1]
    rig.raises = [Fail("broken for good")]
    await dispatch(rig.queue, Resize(3))
    with pytest.raises(Fail, match="broken for good"):
        await drain(rig.worker)


async def test_a_job_without_a_handler_is_an_error() -> None:
    rig = Rig()
    await dispatch(rig.queue, Charge("o-1", 5))
    with pytest.raises(UnknownJob, match=r"Charge.*known: Resize"):
        await drain(rig.worker)


async def test_an_undecodable_payload_is_an_error() -> None:
    rig = Rig()
    await rig.queue.push(Job(id="a", name="Resize", payload=b"{"))
    with pytest.raises(PayloadDecodeError):
        await drain(rig.worker)


async def test_the_worker_is_observed_only_meanwhile() -> None:
    rig = Rig()
    before = list(rig.queue.observers)
    await drain(rig.worker)
    assert rig.queue.observers == before
