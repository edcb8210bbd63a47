"""The contract suite and the state machine on a server that the whole run shares; a subclass says which."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from typing import ClassVar

import servers
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from lagoqueue.testing.machine import QueueMachine
from lagoqueue_sql import SQLQueue

Server = servers.PostgreSQL | servers.MariaDB


class ServerContract(QueueContract):
    """Every queue has tables of its own, all in one database of the run's server."""

    url: str
    clock: ManualClock | None

    @classmethod
    def server(cls) -> Server:
        raise NotImplementedError(f"{cls.__name__} must say which server it is for")

    @classmethod
    def setUpClass(cls) -> None:
        cls.url = cls.server().create_database()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server().drop_database(cls.url)

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


class InItsOwnTime(ServerContract):
    """As users run it: the server's clock decides, and waiting is waiting."""

    tick = 0.3
    micros: ClassVar[str]
    """Selects the server's time in microseconds."""

    def setUp(self) -> None:
        self.clock = None

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now(self) -> datetime:
        ((micros,),) = self.server().sql(self.micros)
        return datetime.fromtimestamp(float(micros) / 1e6).astimezone()


class ServerMachine(QueueMachine):
    """Every history has tables of its own, all in one database."""

    url: ClassVar[str] = ""

    @classmethod
    def server(cls) -> Server:
        raise NotImplementedError(f"{cls.__name__} must say which server it is for")

    async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
        if not self.url:
            type(self).url = self.server().create_database()
        self.table = f"t{uuid.uuid4().hex}"
        return await self._open(clock)

    async def _open(self, clock: ManualClock) -> SQLQueue:
        queue = SQLQueue(self.url, table=self.table, visibility_timeout=self.visibility_timeout, _clock=clock)
        await queue.setup()
        return queue

    async def reopen(self, queue: Queue, clock: ManualClock) -> Queue | None:
        await queue.close()
        return await self._open(clock)
