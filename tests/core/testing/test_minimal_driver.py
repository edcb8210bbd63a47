"""Five primitives and `close` make a driver: the default bodies keep the contract with it."""

from __future__ import annotations

import unittest
from collections.abc import Sequence

from lagoqueue.job import Job
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from tests.core.testing.simple_queue import SimpleQueue


class FivePrimitives(Queue):
    """No expiry, no failed-jobs store, no batch operations."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.inner = SimpleQueue(clock)

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return await self.inner.push(job, delay=delay, exist_ok=exist_ok)

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        return await self.inner.pop(wait, labels=labels)

    async def ack(self, job: Job) -> None:
        await self.inner.ack(job)

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        await self.inner.nack(job, retry_after)

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        return await self.inner.size(labels=labels)

    async def close(self) -> None:
        await self.inner.close()


class TestFivePrimitives(QueueContract, unittest.IsolatedAsyncioTestCase):
    supports_expiry = False
    supports_release = False

    def setUp(self) -> None:
        self.clock = ManualClock()

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        return FivePrimitives(self.clock)

    async def advance(self, seconds: float) -> None:
        await self.clock.elapse(seconds)
