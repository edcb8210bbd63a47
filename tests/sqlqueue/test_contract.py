"""The contract suite on SQLite and PostgreSQL, in manual time and in the server's own; MySQL has a file of its own."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
import uuid
from datetime import datetime
from pathlib import Path

import pytest

import servers
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


@pytest.mark.contract
class TestPostgreSQL(QueueContract, unittest.IsolatedAsyncioTestCase):
    """Every queue has tables of its own, all in one database of the run's server."""

    url: str
    clock: ManualClock | None

    @classmethod
    def setUpClass(cls) -> None:
        cls.url = servers.shared_postgresql().create_database()

    @classmethod
    def tearDownClass(cls) -> None:
        servers.shared_postgresql().drop_database(cls.url)

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
        await self.clock.elapse(seconds)
        await asyncio.sleep(0.05)  # what was woken asks the server, in its thread and in real time

    def now(self) -> datetime:
        assert self.clock is not None
        return self.clock.now()

    async def reopen(self, queue: Queue) -> Queue | None:
        assert isinstance(queue, SQLQueue)
        await queue.close()
        return await self._open(queue.visibility_timeout)


@pytest.mark.slow
class TestPostgreSQLInItsOwnTime(TestPostgreSQL):
    """As users run it: the server's clock decides, and waiting is waiting."""

    tick = 0.3

    def setUp(self) -> None:
        self.clock = None

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now(self) -> datetime:
        ((micros,),) = servers.shared_postgresql().sql("SELECT extract(epoch FROM clock_timestamp()) * 1000000")
        return datetime.fromtimestamp(float(micros) / 1e6).astimezone()


@pytest.mark.slow
def test_the_contract_holds_on_the_machines_own_postgresql() -> None:
    """A second version of the server, where there is one; the first comes with the tests."""
    own = servers.system_postgresql()
    if own is None:
        pytest.skip("this machine has no PostgreSQL of its own")
    with servers.PostgreSQL(own, durable=False) as server:

        class Suite(TestPostgreSQL):
            url = server.create_database()

            @classmethod
            def setUpClass(cls) -> None: ...

            @classmethod
            def tearDownClass(cls) -> None: ...

        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Suite).run(result)
        print(f"PostgreSQL {server.version}: {result.testsRun} rules")
        assert result.testsRun > 100
        assert [text for _, text in [*result.errors, *result.failures]] == []
        assert result.skipped == []
