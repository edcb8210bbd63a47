"""`Settler`: ends reservations in batches, and does not give up for a passing reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lagoqueue._log import Log
from lagoqueue.delivery import Delivery
from lagoqueue.errors import DriverError, QueueClosed, ReservationLost
from lagoqueue.queue import Queue, Settlement

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Settler:
    """Gathers deliveries while one batch is under way, and settles them with the next.

    So a lone job is settled at once, and under load one round trip settles many, with no timer.

    Args:
        queue: Where they were popped.
        done: Called for each delivery, with whether its reservation had been lost.
        dropped: Called for each delivery that could not be settled at all.
        log: Gets the reasons.
    """

    def __init__(
        self, queue: Queue, done: Callable[[Delivery, bool], object], dropped: Callable[[Delivery], object], log: Log
    ) -> None:
        self._queue = queue
        self._done = done
        self._dropped = dropped
        self._log = log
        self._waiting: list[Delivery] = []
        self._something = asyncio.Event()
        self._closing = False

    def add(self, delivery: Delivery) -> None:
        """Settle it with the next batch."""
        self._waiting.append(delivery)
        self._something.set()

    def close(self) -> None:
        """Let `run` return once nothing is left."""
        self._closing = True
        self._something.set()

    async def run(self) -> None:
        """Settle until closed."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._settle(batch)
            if self._closing:
                return

    async def _settle(self, batch: list[Delivery]) -> None:
        settlements = [delivery.settlement for delivery in batch if delivery.settlement is not None]
        pause = _FIRST_PAUSE
        while True:
            try:
                # By receipt too: a batch may hold a lost delivery of a job and the one that followed it.
                lost = {(job.id, job.receipt) for job in await self._queue.settle(settlements)}
            except QueueClosed:
                self._drop(batch, "the queue was closed")
                return
            except DriverError as error:
                # Repeating is harmless: a settlement that did go through is then reported as lost.
                self._log.warning("settling %d jobs failed, again in %g s: %s", len(batch), pause, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                self._log.exception("the driver failed on a batch of %d settlements; trying them singly", len(batch))
                await self._settle_singly(batch)
                return
            else:
                for delivery in batch:
                    self._done(delivery, (delivery.job.id, delivery.job.receipt) in lost)
                return

    async def _settle_singly(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            settlement: Settlement | None = delivery.settlement
            if settlement is None:
                continue
            try:
                lost = bool(await self._queue.settle([settlement]))
            except ReservationLost:
                lost = True
            except Exception as error:
                self._drop([delivery], f"{type(error).__name__}: {error}")
                continue
            self._done(delivery, lost)

    def _drop(self, batch: list[Delivery], why: str) -> None:
        """Leave reservations to expire: the jobs come back, so nothing is lost."""
        for delivery in batch:
            action = delivery.settlement.action if delivery.settlement else "settle"
            self._log.error("could not %s job %s, which will be redelivered: %s", action, delivery.job.id, why)
            self._dropped(delivery)
