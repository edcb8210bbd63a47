"""Random histories on MariaDB, every answer compared with the model's."""

from __future__ import annotations

import uuid
from typing import ClassVar

import pytest
from hypothesis import settings

import servers
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock
from lagoqueue.testing.machine import QueueMachine
from lagoqueue_sql import SQLQueue

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class MariaDBMachine(QueueMachine):
    """Every history has tables of its own, all in one database."""

    url: ClassVar[str] = ""

    async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
        if not self.url:
            type(self).url = servers.shared_mariadb().create_database()
        self.table = f"t{uuid.uuid4().hex}"
        return await self._open(clock)

    async def _open(self, clock: ManualClock) -> SQLQueue:
        queue = SQLQueue(self.url, table=self.table, visibility_timeout=self.visibility_timeout, _clock=clock)
        await queue.setup()
        return queue

    async def reopen(self, queue: Queue, clock: ManualClock) -> Queue | None:
        await queue.close()
        return await self._open(clock)


TestMariaDB = MariaDBMachine.TestCase
TestMariaDB.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
