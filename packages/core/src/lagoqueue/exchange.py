"""`Exchange`: what a run and its store say to each other, in as few round trips as that takes.

What has ended is settled in the same turn in which the next jobs are claimed. While one turn is
under way the slots run what they have, and what ends meanwhile goes with the next: so a lone job is
settled at once, and under load one round trip does for many, with no timer.

Where many jobs may be held, a turn is for half of them, and the next is handed over while one is under way: so the
store is at work on the one half while the other half runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from lagoqueue._cycle import hold
from lagoqueue._log import Log
from lagoqueue.delivery import Delivery
from lagoqueue.errors import QueueClosed, QueueEmpty
from lagoqueue.job import Job
from lagoqueue.queue import Queue
from lagoqueue.reporting import Reporter
from lagoqueue.settler import Settler

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0

_MANY = 50
"""The least that a turn beside another settles and claims: with fewer, two turns cost more than they save."""


class Exchange:
    """Claims what there is room for, and settles what has ended.

    A job is held from its claim until it is settled, and no more are held than `most`. One that is
    settled in the turn that claims leaves its room to the next: with `most` at 1, that is one round
    trip a job, and one job at a time.

    Args:
        queue: The store.
        most: How many jobs may be held.
        least: The room below which a claim is not worth its round trip.
        poll: How long one claim waits when nothing is due; None to end when nothing is due and nothing is held.
        arrived: Called with the deliveries of a claim.
        over: Called once there is no more to come: with the error of a queue that was closed, or that is a bug, or None.
        reporter: Told of each delivery that is settled.
        log: Gets what goes wrong.

    Attributes:
        held: The deliveries that are held. Another thread may copy it.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        most: int,
        least: int,
        poll: float | None,
        arrived: Callable[[Sequence[Delivery]], object],
        over: Callable[[BaseException | None], object],
        reporter: Reporter,
        log: Log,
    ) -> None:
        self._queue = queue
        self._most = most
        self._least = least
        self._poll = poll
        self._arrived = arrived
        self._over = over
        self._reporter = reporter
        self._log = log
        self.held: set[Delivery] = set()
        self._ended: list[Delivery] = []
        self._enough = 1  # of the ended for a turn
        self._portion = (most + 1) // 2 if queue.turns_at_once > 1 and least >= _MANY else most
        self._under_way = 0
        self._promised = 0
        self._settler = Settler(queue, self.settled, self.let_go, log)
        self._settlements = 0
        self._claim: asyncio.Task[None] | None = None
        self._pause = _FIRST_PAUSE
        self._dry = False
        self._claiming = True
        self._closing = False
        self._something: asyncio.Future[None] | None = None

    # --- The run's side -------------------------------------------------------------------------

    def end(self, delivery: Delivery) -> None:
        """Settle a delivery as its settlement says, and report it. Its handler may have done the first."""
        # failpoint: after_run
        if delivery.settlement is not None:
            self._ended.append(delivery)
            if self._something is not None and len(self._ended) >= self._enough:
                self._wake()
        elif delivery in self.held:  # else the drain did not wait for it, and has reported it
            self.settled([delivery])

    def settled(self, batch: list[Delivery], lost: Collection[Delivery] = ()) -> None:
        """Note that deliveries need no settling any more, and report them."""
        self.let_go(batch)
        self._reporter.report(batch, lost)

    def let_go(self, batch: list[Delivery]) -> None:
        """Hold deliveries no longer."""
        self.held.difference_update(batch)
        self._settlements += len(batch)
        self._dry = False
        self._wake()

    def stop_claiming(self) -> None:
        """Claim no more. A turn that is under way is not cut short, because it settles: what it brings still arrives."""
        self._claiming = False
        if self._claim is not None:
            self._claim.cancel()

    async def claim_stopped(self, timeout: float) -> None:
        """Wait until a claim that was under way has ended, up to `timeout` seconds."""
        if self._claim is not None:
            await asyncio.wait({self._claim}, timeout=timeout)

    def close(self) -> None:
        """Let `run` return once nothing is left to be settled."""
        self._closing = True
        self._count_turns(0)
        self._wake()

    # --- Turn by turn ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim and settle until closed."""
        if self._portion == self._most:
            await self._talk()
            return
        talks = [asyncio.create_task(self._talk(), name=f"lagoqueue-exchange-{number}") for number in range(2)]
        try:
            await asyncio.gather(*talks)
        finally:
            for talk in talks:
                talk.cancel()

    async def _talk(self) -> None:
        """Take one turn after another until closed. Two do so at once where a turn is but a portion."""
        while True:
            batch = self._next_batch()
            room = self._room(len(batch))
            if batch:
                await self._turn(batch, room)
            elif room and not self._under_way:
                self._claim = asyncio.create_task(self._wait_for_jobs(room), name="lagoqueue-claim")
                self._claim.add_done_callback(self._claim_ended)
            elif self._closing:
                return
            else:
                await self._sleep()

    def _next_batch(self) -> list[Delivery]:
        """Take what is to be settled now: whatever has ended, but beside another turn only as much as is worth one."""
        if len(self._ended) < self._enough:
            return []
        batch, self._ended = self._ended[: self._portion], self._ended[self._portion :]
        return batch

    async def _turn(self, batch: list[Delivery], room: int) -> None:
        """Settle a batch, and claim as many jobs as there is room for, if there is."""
        promised = room - len(batch) if room else 0
        self._promised += promised
        self._count_turns(1)
        try:
            if room:
                jobs = await self._settler.turn(batch, room)
            else:
                await self._settler.settle(batch)
                jobs = []
        finally:
            self._promised -= promised
            self._count_turns(-1)
        self._received(jobs)

    def _count_turns(self, more: int) -> None:
        self._under_way += more
        self._enough = self._least if self._under_way and not self._closing else 1

    def _room(self, leaving: int) -> int:
        """Return how many jobs to claim while `leaving` are settled; 0 when now is no time for it."""
        if self._claim is not None or self._dry or not self._claiming:
            return 0
        # What another turn claims beyond what it settles is room that is taken already.
        room = self._most - len(self.held) - self._promised + leaving
        return room if room >= self._least else 0

    async def _wait_for_jobs(self, room: int) -> None:
        """Claim, and wait for what to claim; meanwhile, what ends is settled by itself."""
        before = self._settlements
        try:
            jobs = await self._queue.pop_many(room, self._poll or 0.0)
        except QueueEmpty:
            self._pause = _FIRST_PAUSE
            await asyncio.sleep(0)  # a driver that does not wait must not stop the loop
            if self._poll is None and self._settlements == before:  # else one may have come back just now
                self._dry = True
                if not self.held:
                    self._over(None)
        except QueueClosed as error:
            self._log.error("the queue was closed under the worker, which stops")
            self._claiming = False
            self._over(error)
        except Exception as error:
            self._log.warning("fetching jobs failed, again in %g s: %s: %s", self._pause, type(error).__name__, error)
            pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
        else:
            self._pause = _FIRST_PAUSE
            self._received(jobs)

    def _claim_ended(self, claim: asyncio.Task[None]) -> None:
        self._claim = None
        if not claim.cancelled() and (error := claim.exception()) is not None:  # a bug of ours, or an exit
            self._claiming = False
            self._over(error)
        self._wake()

    def _received(self, jobs: list[Job]) -> None:
        if jobs:
            # failpoint: after_claim
            self._arrived(hold(jobs, self.held))

    async def _sleep(self) -> None:
        if self._something is None:
            self._something = asyncio.get_running_loop().create_future()
        await self._something

    def _wake(self) -> None:
        if self._something is not None:
            if not self._something.done():
                self._something.set_result(None)
            self._something = None
