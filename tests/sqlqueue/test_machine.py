"""Random histories on SQLite and PostgreSQL, every answer compared with the model's; MySQL has a file of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

import servers
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock
from lagoqueue.testing.machine import QueueMachine
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.on_server import ServerMachine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class SQLiteMachine(QueueMachine):
    async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
        self.folder = tempfile.TemporaryDirectory()
        return await self._open(clock)

    async def _open(self, clock: ManualClock) -> SQLQueue:
        url = f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        queue = SQLQueue(url, visibility_timeout=self.visibility_timeout, synchronous="normal", _clock=clock)
        await queue.setup()
        return queue

    async def reopen(self, queue: Queue, clock: ManualClock) -> Queue | None:
        await queue.close()
        return await self._open(clock)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.folder.cleanup()


class PostgreSQLMachine(ServerMachine):
    @classmethod
    def server(cls) -> servers.PostgreSQL:
        return servers.shared_postgresql()


TestSQLite = SQLiteMachine.TestCase
TestSQLite.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)

TestPostgreSQL = PostgreSQLMachine.TestCase
TestPostgreSQL.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
