"""A worker and a producer in this process, to go on while a test breaks what is below them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lagoqueue import DriverError, OutcomeUnknown, Worker, current_job, dispatch
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect
from tests.sqlqueue.processes import PATIENCE


class Load:
    """Some hundred jobs a second. The producer does as the messages of `DriverError` and `OutcomeUnknown` say.

    Attributes:
        started: When each job was last started, on the monotonic clock.
        attempts: How many runs there were of each number of attempts.
        unknown: The jobs that were pushed again because the first outcome was unknown.
    """

    def __init__(self, queue: SQLQueue, *, producer: SQLQueue | None = None) -> None:
        self.done: Counter[int] = Counter()
        self.started: dict[int, float] = {}
        self.attempts: Counter[int] = Counter()
        self.pushed = 0
        self.unknown: set[int] = set()
        self._producer = producer or queue
        self._worker = Worker(queue, concurrency=4, prefetch=20)
        self._worker.handle(Effect, self._handle)

    async def _handle(self, payload: Effect) -> None:
        self.started[payload.number] = time.monotonic()
        self.done[payload.number] += 1
        self.attempts[current_job().attempts] += 1

    async def push(self) -> None:
        """Push one job, however often that has to be tried."""
        number = self.pushed
        self.pushed += 1
        while True:
            try:
                await dispatch(self._producer, Effect(number), id=f"effect-{number}", exist_ok=number in self.unknown)
            except DriverError as error:
                if isinstance(error, OutcomeUnknown):
                    self.unknown.add(number)
                await asyncio.sleep(0.02)
            else:
                return

    async def push_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.push()
            await asyncio.sleep(0.002)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run the worker, which ends well."""
        run = asyncio.create_task(self._worker.run())
        try:
            yield
        finally:
            self._worker.stop()
            await run

    async def drained(self) -> None:
        """Wait until all that was pushed has been done."""
        deadline = time.monotonic() + PATIENCE
        while len(self.done) < self.pushed:
            assert time.monotonic() < deadline, f"{len(self.done)} of {self.pushed} jobs have been done"
            await asyncio.sleep(0.01)

    def check(self) -> None:
        """See that every job was done once, at the first attempt.

        Only one that was pushed again may be done again: it may have been done by then.
        """
        assert set(self.done) == set(range(self.pushed))
        assert [number for number, times in self.done.items() if times > 1 and number not in self.unknown] == []
        assert set(self.attempts) == {1}
