"""The contract suite on MariaDB, in manual time and in the server's own."""

from __future__ import annotations

import asyncio
import unittest
import uuid
from datetime import datetime

import pytest

import servers
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from lagoqueue_sql import SQLQueue


@pytest.mark.contract
class TestMariaDB(QueueContract, unittest.IsolatedAsyncioTestCase):
    """Every queue has tables of its own, all in one database of the run's server."""

    url: str
    clock: ManualClock | None

    @classmethod
    def setUpClass(cls) -> None:
        cls.url = servers.shared_mariadb().create_database()

    @classmethod
    def tearDownClass(cls) -> None:
        servers.shared_mariadb().drop_database(cls.url)

    def setUp(self) -> None:
        self.clock = ManualClock()

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        self.table = f"t{uuid.uuid4().hex}"
        return await self._open(visibility_timeout)

    async def _open(self, visibility_timeout: float) -> SQLQueue:
        queue = SQLQueue(self.url, table=self.table, visibility_timeout=visibility_timeout, _clock=self.clock)
        await queue.setup()
        return queue

    async def advance(self, seconds: float) -> None:
        assert self.clock is not None
        end = self.clock.monotonic() + seconds
        while self.clock._step(end):  # noqa: ASYNC110 - it moves on to the next timer
            await asyncio.sleep(0.03)  # a look at the server that is under way when time goes on would see two times
        await asyncio.sleep(0.05)

    def now(self) -> datetime:
        assert self.clock is not None
        return self.clock.now()

    async def reopen(self, queue: Queue) -> Queue | None:
        assert isinstance(queue, SQLQueue)
        await queue.close()
        return await self._open(queue.visibility_timeout)


@pytest.mark.slow
class TestMariaDBInItsOwnTime(TestMariaDB):
    """As users run it: the server's clock decides, and waiting is waiting."""

    tick = 0.3

    def setUp(self) -> None:
        self.clock = None

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now(self) -> datetime:
        ((micros,),) = servers.shared_mariadb().sql("SELECT UNIX_TIMESTAMP(NOW(6)) * 1000000")
        return datetime.fromtimestamp(float(micros) / 1e6).astimezone()
