"""The contract suite on `MemoryQueue`, in manual time: what `python -m lagoqueue.testing` runs."""

from __future__ import annotations

import unittest
from datetime import datetime

from lagoqueue.memory import MemoryQueue
from lagoqueue.queue import Queue
from lagoqueue.testing.clock import ManualClock
from lagoqueue.testing.contract import QueueContract


class MemoryContract(QueueContract, unittest.IsolatedAsyncioTestCase):
    """Also the shortest example of plugging a driver in."""

    def setUp(self) -> None:
        self.clock = ManualClock()

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        return MemoryQueue(visibility_timeout=visibility_timeout, clock=self.clock)

    async def advance(self, seconds: float) -> None:
        await self.clock.elapse(seconds)

    def now(self) -> datetime:
        return self.clock.now()
