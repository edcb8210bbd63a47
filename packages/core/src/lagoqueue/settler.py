"""`Settler`: ends the reservations of a batch, and does not give up for a passing reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lagoqueue._log import Log
from lagoqueue.delivery import Delivery
from lagoqueue.errors import DriverError, QueueClosed, ReservationLost
from lagoqueue.job import Job
from lagoqueue.queue import Queue, Settlement

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Settler:
    """Settles batches of deliveries, each with a settlement.

    Args:
        queue: Where they came from.
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

    async def settle(self, batch: Sequence[Delivery], failed: DriverError | None = None) -> None:
        """Settle a batch, however long its store is away; `failed` is why a first attempt did not go through."""
        settlements = _settlements(batch)
        pause = _FIRST_PAUSE
        while True:
            if failed is not None:
                # Repeating is harmless: a settlement that did go through is then reported as lost.
                self._log.warning("settling %d jobs failed, again in %g s: %s", len(batch), pause, failed)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                lost = await self._queue.settle(settlements)
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

    async def turn(self, batch: Sequence[Delivery], room: int) -> list[Job]:
        """Settle a batch and claim up to `room` jobs in one step; when that fails, settle it without."""
        try:
            jobs, lost = await self._queue.turn(_settlements(batch), room)
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

    def _settled(self, batch: Sequence[Delivery], lost: list[Job]) -> None:
        # By receipt too: a batch may hold a lost delivery of a job and the one that followed it.
        keys = {(job.id, job.receipt) for job in lost}
        for delivery in batch:
            self._done(delivery, bool(keys) and (delivery.job.id, delivery.job.receipt) in keys)

    async def _after_a_bug(self, batch: Sequence[Delivery]) -> None:
        self._log.exception("the driver failed on a batch of %d settlements; trying them singly", len(batch))
        for delivery in batch:
            try:
                lost = bool(await self._queue.settle(_settlements([delivery])))
            except ReservationLost:
                lost = True
            except Exception as error:
                self._drop([delivery], f"{type(error).__name__}: {error}")
                continue
            self._done(delivery, lost)

    def _drop(self, batch: Sequence[Delivery], why: str) -> None:
        """Leave reservations to expire: the jobs come back, so nothing is lost."""
        for delivery in batch:
            action = delivery.settlement.action if delivery.settlement else "settle"
            self._log.error("could not %s job %s, which will be redelivered: %s", action, delivery.job.id, why)
            self._dropped(delivery)


def _settlements(batch: Sequence[Delivery]) -> list[Settlement]:
    return [delivery.settlement for delivery in batch if delivery.settlement is not None]
