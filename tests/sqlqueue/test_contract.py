"""The contract suite, on a SQLite file and in manual time."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
from datetime import datetime
from pathlib import Path

from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from lagoqueue_sql import SQLQueue


class TestSQLite(QueueContract, unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.files = 0

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        self.files += 1
        return await self._open(f"{self.files}.db", visibility_timeout)

    async def _open(self, file: str, visibility_timeout: float) -> SQLQueue:
        url = f"sqlite:///{self.folder / file}"
        queue = SQLQueue(url, visibility_timeout=visibility_timeout, synchronous="normal", _clock=self.clock)
        await queue.setup()
        return queue

    async def advance(self, seconds: float) -> None:
        await self.clock.elapse(seconds)
        await asyncio.sleep(0.02)  # what was woken asks the database, in its thread and in real time

    def now(self) -> datetime:
        return self.clock.now()

    async def reopen(self, queue: Queue) -> Queue | None:
        assert isinstance(queue, SQLQueue)
        await queue.close()
        return await self._open(f"{self.files}.db", queue.visibility_timeout)
