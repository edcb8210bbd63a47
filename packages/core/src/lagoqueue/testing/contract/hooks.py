"""What a driver gives to the contract suite, and the small helpers that its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from lagoqueue.errors import QueueEmpty
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.queue import Queue

if TYPE_CHECKING:
    from unittest import IsolatedAsyncioTestCase as TestCase
else:
    TestCase = object  # a mixin: no test runner collects the rules without a driver

T = TypeVar("T")


class Hooks(TestCase):
    """The driver's side of the suite: override `open_queue`, and the rest where it differs.

    Attributes:
        tick: Seconds that the suite leaves between two moments of the store. With the default
            `advance` the suite really waits, so a driver on a busy machine wants it larger, and
            one whose clock the test controls may have any.
        patience: Real seconds after which something that had to happen counts as never happening.
        supports_expiry: False when reservations never expire. Then there is no redelivery after
            a visibility timeout, and `extend` need not refuse anything.
        supports_release: False when `release` is the default body, which spends the attempt.
    """

    tick: float = 0.25
    patience: float = 10.0
    supports_expiry: bool = True
    supports_release: bool = True

    # --- The driver's hooks -----------------------------------------------------------------------

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        """Return a fresh, empty queue on a store of its own; the suite closes it.

        Args:
            visibility_timeout: Seconds after which a reservation expires.
        """
        raise NotImplementedError(f"{type(self).__name__} must define open_queue(), which returns a fresh, empty queue")

    async def advance(self, seconds: float) -> None:
        """Let the store's time pass, and what waits for it happen. This body really waits."""
        await asyncio.sleep(seconds)

    def now(self) -> datetime:
        """Return the store's time, aware UTC; this body takes the machine's clock for it."""
        return datetime.now(UTC)

    async def reopen(self, queue: Queue) -> Queue | None:
        """Close the queue and open it again on the same store; None when nothing survives that."""
        return None

    # --- What the tests share ---------------------------------------------------------------------

    async def fresh(self, *, visibility_timeout: float = 900.0) -> Queue:
        """Open a queue that is closed when the test ends."""
        queue = await self.open_queue(visibility_timeout=visibility_timeout)
        self.addAsyncCleanup(queue.close)
        return queue

    async def expiring(self) -> tuple[Queue, float]:
        """Open a queue whose reservations expire within the test; return it and that timeout."""
        if not self.supports_expiry:
            self.skipTest("reservations of this driver never expire")
        timeout = 8 * self.tick
        return await self.fresh(visibility_timeout=timeout), timeout

    async def with_failed_jobs(self) -> tuple[Queue, FailedJobs]:
        """Open a queue and return it with its failed-jobs store."""
        queue = await self.fresh()
        if queue.failed_jobs is None:
            self.skipTest("this driver has no failed-jobs store")
        return queue, queue.failed_jobs

    async def reserve(self, queue: Queue, job_id: str = "a", **fields: Any) -> Job:
        """Push a job and pop it."""
        await queue.push(make_job(job_id, **fields))
        return await queue.pop()

    async def soon(self, awaitable: Awaitable[T]) -> T:
        """Return the result of what must happen without the store's time passing."""
        return await asyncio.wait_for(awaitable, self.patience)

    async def pause(self) -> None:
        """Let other tasks get as far as they can. No rule rests on how far that is."""
        await asyncio.sleep(min(self.tick, 0.02))

    async def popped_ids(self, queue: Queue, *, labels: Sequence[str] | None = None) -> list[str]:
        """Pop whatever is due and return the ids in that order, each acknowledged."""
        ids: list[str] = []
        for _ in range(10_000):
            try:
                job = await queue.pop(labels=labels)
            except QueueEmpty:
                return ids
            ids.append(job.id)
            await queue.ack(job)
        raise AssertionError("10,000 pops did not empty the queue")

    async def assert_empty(self, queue: Queue, *, labels: Sequence[str] | None = None) -> None:
        """Nothing is due."""
        with self.assertRaises(QueueEmpty):
            job = await queue.pop(labels=labels)
            self.fail(f"nothing was due, but pop returned {job!r}")


def make_job(job_id: str = "a", **fields: Any) -> Job:
    """Return a job to push."""
    return Job(**{"id": job_id, "name": "Example", "payload": b"{}", **fields})


FAILURE = Failure("ValueError", "ValueError: no such user", "Traceback (most recent call last):\n  ...\nValueError")
