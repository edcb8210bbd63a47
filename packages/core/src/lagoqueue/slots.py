"""`Slots`: run what has been claimed, as many jobs at once as there are slots.

The slots are tasks that live as long as the run, so a job costs no task of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Iterable

from lagoqueue._cycle import Cycle
from lagoqueue._log import Log
from lagoqueue.delivery import Delivery
from lagoqueue.exchange import Exchange
from lagoqueue.execution import Execution
from lagoqueue.reporting import Reporter
from lagoqueue.slot_thread import SlotThread

_TURN = 0.005
"""Seconds for which a slot may run handlers that never suspend before the loop gets its turn."""


class Slots:
    """The slots and the buffer from which they take.

    Args:
        refill: The length of the buffer at which the next claim is due, for which a slot stands back.
        execution: The steps of a delivery.
        exchange: Where deliveries come from and go to.
        reporter: Told when a handler is about to run.
        log: Gets what goes wrong.

    Attributes:
        tasks: The slots that live.
    """

    def __init__(self, refill: int, execution: Execution, exchange: Exchange, reporter: Reporter, log: Log) -> None:
        self._refill = refill
        self._execution = execution
        self._exchange = exchange
        self._reporter = reporter
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._buffer: deque[Delivery] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._ending = False
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, concurrency: int) -> None:
        """Start so many slots."""
        for number in range(concurrency):
            self._start(number)

    # --- The buffer -----------------------------------------------------------------------------

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Run them as soon as there are slots."""
        self._buffer.extend(deliveries)
        self._wake(1)

    def take_back(self) -> list[Delivery]:
        """Return the deliveries that no slot has begun, which none will begin now."""
        unstarted = list(self._buffer)
        self._buffer.clear()
        return unstarted

    def remove(self, delivery: Delivery) -> bool:
        """Take out one delivery; False when a slot has begun it."""
        try:
            self._buffer.remove(delivery)
        except ValueError:
            return False
        return True

    def end(self) -> None:
        """Let each slot end once the buffer is empty."""
        self._ending = True
        self._wake(len(self._idle))

    async def _more(self) -> bool:
        """Wait for a delivery; False when there will be none."""
        while not self._buffer:
            if self._ending:
                return False
            woken = self._loop.create_future()
            self._idle.append(woken)
            await woken
            # One slot was woken for the whole of what came, because with handlers that never suspend
            # it is done before another could begin. If others can help, it wakes two, as they will.
            self._wake(min(2, len(self._buffer) - 1))
        return True

    def _wake(self, count: int) -> None:
        while count > 0 and self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                count -= 1

    # --- A slot ---------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        slot = self._loop.create_task(self._slot(number), name=f"lagoqueue-slot-{number}", context=self._context.copy())
        self.tasks.add(slot)
        slot.add_done_callback(lambda slot: self._ended(slot, number))

    def _ended(self, slot: asyncio.Task[None], number: int) -> None:
        self.tasks.discard(slot)
        if self._execution.aborting:
            return
        if slot.cancelled():  # by what an earlier handler has left behind
            self._log.warning("slot %d was cancelled and is replaced", number)
            self._start(number)
        elif (error := slot.exception()) is not None:
            self._log.error("slot %d failed and is replaced", number, exc_info=error)
            self._start(number)

    async def _slot(self, number: int) -> None:
        """Run one job after another, until told to end or until a handler has changed the context."""
        task, thread = asyncio.current_task(), SlotThread(f"lagoqueue-slot-{number}")
        assert task is not None
        cycle = Cycle(task, self._buffer, self._refill, _TURN, self._execution, self._exchange, self._reporter, thread)
        try:
            while self._buffer or await self._more():
                await cycle.run()
                if cycle.strayed:
                    # The handler set a context variable. The next job must not see it, so a new
                    # slot, with the context as it was, takes over.
                    self._start(number)
                    return
                if self._buffer:
                    await asyncio.sleep(0)
        finally:
            thread.stop()
