"""The contract suite on SQLite and PostgreSQL, in manual time and in the server's own; MySQL has a file of its own."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
from datetime import datetime
from pathlib import Path

import pytest

import servers
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.on_server import InItsOwnTime, ServerContract


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
class TestPostgreSQL(ServerContract, unittest.IsolatedAsyncioTestCase):
    @classmethod
    def server(cls) -> servers.PostgreSQL:
        return servers.shared_postgresql()


@pytest.mark.slow
class TestPostgreSQLInItsOwnTime(InItsOwnTime, TestPostgreSQL):
    micros = "SELECT extract(epoch FROM clock_timestamp()) * 1000000"


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
