"""`Settler`: ends the reservations of a batch, and does not give up for a passing reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lagoqueue._cycle import settlements
from lagoqueue._log import Log
from lagoqueue.delivery import Delivery
from lagoqueue.errors import DriverError, QueueClosed, ReservationLost
from lagoqueue.job import Job
from lagoqueue.queue import Queue

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Settler:
    """Settles batches of deliveries, each with a settlement.

    Args:
        queue: Where they came from.
        done: Called with the deliveries that were settled, and those of them whose reservation had been lost.
        dropped: Called with the deliveries that could not be settled at all.
        log: Gets the reasons.
    """

    def __init__(
        self,
        queue: Queue,
        done: Callable[[list[Delivery], list[Delivery]], object],
        dropped: Callable[[list[Delivery]], object],
        log: Log,
    ) -> None:
        self._queue = queue
        self._done = done
        self._dropped = dropped
        self._log = log

    async def settle(self, batch: list[Delivery], failed: DriverError | None = None) -> None:
        """Settle a batch, however long its store is away; `failed` is why a first attempt did not go through."""
        ends = settlements(batch)
        pause = _FIRST_PAUSE
        while True:
            if failed is not None:
                # Repeating is harmless: a settlement that did go through is then reported as lost.
                self._log.warning("settling %d jobs failed, again in %g s: %s", len(batch), pause, failed)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                # failpoint: before_settle
                lost = await self._queue.settle(ends)
            except QueueClosed:
                self._drop(batch, "the queue was closed")
            except DriverError as error:
                failed = error
                continue
            except Exception:
                await self._after_a_bug(batch)
            else:
                self._settled(batch, lost)
            return

    async def turn(self, batch: list[Delivery], room: int) -> list[Job]:
        """Settle a batch and claim up to `room` jobs in one step; when that fails, settle it without."""
        try:
            # failpoint: before_turn
            jobs, lost = await self._queue.turn(settlements(batch), room)
        except QueueClosed:
            self._drop(batch, "the queue was closed")
        except DriverError as error:
            await self.settle(batch, error)
        except Exception:
            await self._after_a_bug(batch)
        else:
            self._settled(batch, lost)
            return jobs
        return []

    def _settled(self, batch: list[Delivery], jobs: list[Job]) -> None:
        # failpoint: after_settle
        lost: list[Delivery] = []
        if jobs:  # by receipt too: a batch may hold a lost delivery of a job and the one that followed it
            keys = {(job.id, job.receipt) for job in jobs}
            lost = [delivery for delivery in batch if (delivery.job.id, delivery.job.receipt) in keys]
        self._done(batch, lost)

    async def _after_a_bug(self, batch: list[Delivery]) -> None:
        self._log.exception("the driver failed on a batch of %d settlements; trying them singly", len(batch))
        for delivery in batch:
            try:
                lost = bool(await self._queue.settle(settlements([delivery])))
            except ReservationLost:
                lost = True
            except Exception as error:
                self._drop([delivery], f"{type(error).__name__}: {error}")
                continue
            self._done([delivery], [delivery] if lost else [])

    def _drop(self, batch: list[Delivery], why: str) -> None:
        """Leave reservations to expire: the jobs come back, so nothing is lost."""
        for delivery in batch:
            action = delivery.settlement.action if delivery.settlement else "settle"
            self._log.error("could not %s job %s, which will be redelivered: %s", action, delivery.job.id, why)
        self._dropped(batch)
