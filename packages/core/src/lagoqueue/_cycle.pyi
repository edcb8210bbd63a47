"""A slot's way through one delivery after another: decode, run, decide, hand over to be settled."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self, final

from lagoqueue.delivery import Delivery
from lagoqueue.exchange import Exchange
from lagoqueue.execution import Execution
from lagoqueue.job import Job
from lagoqueue.queue import Settlement
from lagoqueue.reporting import Reporter
from lagoqueue.slot_thread import SlotThread

@final
class Cycle:
    strayed: bool
    def __new__(
        cls,
        task: asyncio.Task[None],
        buffer: deque[Delivery],
        refill: int,
        turn: float,
        execution: Execution,
        exchange: Exchange,
        reporter: Reporter,
        thread: SlotThread,
    ) -> Self: ...
    async def run(self) -> None: ...

def hold(jobs: Iterable[Job], held: set[Delivery]) -> list[Delivery]: ...
def settlements(batch: list[Delivery]) -> list[Settlement]: ...
