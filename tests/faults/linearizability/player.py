"""`Player`: random operations of one process on a few job ids, each of them logged.

The ids are few, so players meet. Each ends and extends the reservations of all, also such as are long over, because
receipts are told to everybody and kept for ever. Only what is to expire is kept secret for a while. Choices are random by a
seed; what comes of them depends on who was first.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from lagoqueue import DriverError, DuplicateJob, Failure, Job, QueueEmpty, ReservationLost
from lagoqueue.queue import Queue, Settlement
from tests.faults.linearizability.history import Log, Outcome
from tests.faults.linearizability.trouble import Peace

IDS = ("job-a", "job-b", "job-c", "job-d", "job-e", "job-f", "job-g", "job-h")

DELAYS = (0.0, 0.0, 0.005, 0.03)
"""Seconds until a job is due that is pushed or put back."""

WAITS = (0.0, 0.0, 0.0, 0.02)
"""Seconds for which a pop waits."""

LONGEST_WAIT = 0.05
"""Seconds for which one waits that is to get a job if at all possible."""

LATE = 0.6
"""The part of a reservation after which the one that is to expire is extended."""

ENDINGS: tuple[Literal["ack", "fail", "nack", "release"], ...] = ("ack", "ack", "ack", "fail", "nack", "release")

RECENT = 4
"""Of so many last receipts one is chosen mostly, since they may be good."""

REPEATS = 2
"""Times that an ending of unknown outcome is asked for again, at most."""


class Delivery(NamedTuple):
    """What a receipt belongs to."""

    job: str
    receipt: str


class Deliveries:
    """All that were made to anybody: a file to which all players append."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._read = 0
        self._known: list[Delivery] = []

    def add(self, job: Job) -> None:
        os.write(self._file, f"{job.id} {job.receipt}\n".encode())

    def all(self) -> Sequence[Delivery]:
        """Return those that anybody was told of until now."""
        new = os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._known += [Delivery(*line.split(" ")) for line in whole.decode().splitlines()]
        return self._known

    def close(self) -> None:
        os.close(self._file)


class Player:
    """Plays on one queue.

    Args:
        queue: The queue.
        log: Where all is written down.
        deliveries: Everybody's.
        chance: Makes the choices.
        trouble: Disturbs what is asked, perhaps.
        visibility_timeout: The queue's.
        claim_marker: What the driver sends when it claims.
    """

    def __init__(
        self,
        queue: Queue,
        log: Log,
        deliveries: Deliveries,
        chance: random.Random,
        trouble: Peace,
        visibility_timeout: float,
        claim_marker: bytes = b"",
    ) -> None:
        self._queue = queue
        self._log = log
        self._deliveries = deliveries
        self._chance = chance
        self._trouble = trouble
        self._late = LATE * visibility_timeout
        self._claim_marker = claim_marker
        self._secret: Job | None = None
        self._unsure: set[Delivery] = set()  # the driver takes whatever comes next for a repetition

    async def play(self, operations: int) -> None:
        """Do so many things, one after the other."""
        ways: list[Callable[[], Awaitable[None]]] = [
            self._push,
            self._pop,
            self._end,
            self._extend,
            self._turn,
            self._hold,
        ]
        for _ in range(operations):
            (way,) = self._chance.choices(ways, weights=(8, 8, 12, 4, 4, 1))
            await way()

    # --- What is asked --------------------------------------------------------------------------------

    async def _push(self) -> None:
        """Push one job, or several at the same time, which a driver may store together."""
        ids = self._chance.choices(IDS, k=self._chance.choice((1, 1, 1, 3)))
        delay, exist_ok = self._chance.choice(DELAYS), self._chance.random() < 0.5
        numbers = [self._log.ask("push", each, delay=delay) for each in ids]
        pushes = [self._queue.push(Job(each, "Example", b"{}"), delay=delay, exist_ok=exist_ok) for each in ids]
        async with self._trouble.around(ids[0].encode()):
            results = await asyncio.gather(*pushes, return_exceptions=True)
        for number, result in zip(numbers, results, strict=True):
            outcome: Outcome = "done" if result is True else "refused"
            if isinstance(result, DriverError):
                outcome = "unknown"
            elif isinstance(result, BaseException) and not isinstance(result, DuplicateJob):
                raise result
            self._tell(number, outcome)

    async def _pop(self) -> None:
        if job := await self._popped(self._chance.choice(WAITS)):
            self._deliveries.add(job)

    async def _hold(self) -> None:
        """Pop a job of which nobody hears, extend its reservation late, and let it expire."""
        job, self._secret = self._secret, await self._popped(LONGEST_WAIT)
        if job is not None:
            self._deliveries.add(job)
        if self._secret is not None:
            await asyncio.sleep(self._late)
            await self._extended(Delivery(self._secret.id, self._secret.receipt or ""))

    async def _popped(self, wait: float) -> Job | None:
        number = self._log.ask("pop")
        try:
            async with self._trouble.around(self._claim_marker):
                job = await self._queue.pop(wait)
        except DriverError:
            self._tell(number, "unknown")
            return None
        except QueueEmpty:
            self._tell(number, "empty")
            return None
        self._got(number, job)
        return job

    async def _end(self) -> None:
        """End a reservation, and mostly ask again while the outcome is not known, which is one operation then."""
        if (settlement := self._settlement()) is None:
            return
        number = self._ask(settlement)
        disturbed = False
        for _ in range(self._chance.randint(1, 1 + REPEATS)):
            try:
                async with self._trouble.around(settlement.job.id.encode()):
                    lost = await self._queue.settle([settlement])
            except DriverError:
                disturbed = True
            else:
                self._tell(number, "refused" if lost else "done", disturbed=disturbed)
                return
        self._leave(number, settlement)

    async def _extend(self) -> None:
        if delivery := self._delivery():
            await self._extended(delivery)

    async def _extended(self, delivery: Delivery) -> None:
        number = self._log.ask("extend", *delivery)
        outcome: Outcome = "done"
        try:
            async with self._trouble.around(delivery.job.encode()):
                await self._queue.extend(_reserved(delivery))
        except DriverError:
            outcome = "unknown"
        except ReservationLost:
            outcome = "refused"
        self._tell(number, outcome)

    async def _turn(self) -> None:
        """End a reservation and pop a job in one call: two operations at the same time."""
        if (settlement := self._settlement()) is None:
            return
        number, pop = self._ask(settlement), self._log.ask("pop")
        try:
            async with self._trouble.around(settlement.job.id.encode()):
                jobs, lost = await self._queue.turn([settlement], 1)
        except DriverError:
            self._tell(pop, "unknown")
            self._leave(number, settlement)
            return
        for job in jobs:
            self._got(pop, job)
            self._deliveries.add(job)
        if not jobs:
            self._tell(pop, "nothing")
        self._tell(number, "refused" if lost else "done")

    # --- Choices ----------------------------------------------------------------------------------------

    def _delivery(self) -> Delivery | None:
        known = [each for each in self._deliveries.all() if each not in self._unsure]
        if not known:
            return None
        return self._chance.choice(known[-RECENT:] if self._chance.random() < 0.75 else known)

    def _settlement(self) -> Settlement | None:
        if (delivery := self._delivery()) is None:
            return None
        action = self._chance.choice(ENDINGS)
        delay = self._chance.choice(DELAYS) if action in ("nack", "release") else 0.0
        return Settlement(_reserved(delivery), action, delay, Failure("Example", "an example"))

    # --- The log ----------------------------------------------------------------------------------------

    def _ask(self, settlement: Settlement) -> int:
        job = settlement.job
        return self._log.ask(settlement.action, job.id, job.receipt or "", settlement.delay)

    def _tell(self, number: int, outcome: Outcome, *, disturbed: bool = False) -> None:
        disturbed = disturbed or self._trouble.happened or outcome == "unknown"
        self._log.tell(number, outcome, disturbed=disturbed)

    def _got(self, number: int, job: Job) -> None:
        assert job.receipt is not None
        self._log.tell(number, "done", job.id, job.receipt, job.attempts, disturbed=self._trouble.happened)

    def _leave(self, number: int, settlement: Settlement) -> None:
        """Ask no more for what may have been done. Later the driver would say that it was, though another did it."""
        self._tell(number, "unknown")
        assert settlement.job.receipt is not None
        self._unsure.add(Delivery(settlement.job.id, settlement.job.receipt))


def _reserved(delivery: Delivery) -> Job:
    return Job(delivery.job, "Example", b"{}", receipt=delivery.receipt)


async def drain(queue: Queue, log: Log, longest: float) -> None:
    """Pop and ack until all that was left has come out, and nothing more comes. The first job is left alone once, to expire.

    Args:
        queue: The queue.
        log: Where it is written down.
        longest: Seconds after which every delay and every reservation is over.
    """
    number = log.ask("push", IDS[0])
    stored = await queue.push(Job(IDS[0], "Example", b"{}"), exist_ok=True)
    log.tell(number, "done" if stored else "refused", disturbed=False)
    wait, left = longest, False
    for _ in range(10 * len(IDS)):
        number = log.ask("pop")
        try:
            job = await queue.pop(wait)
        except QueueEmpty:
            log.tell(number, "empty" if wait else "drained", disturbed=False)
            if not wait:
                return
            wait = 0.0  # by now all that is left is due
            continue
        assert job.receipt is not None
        log.tell(number, "done", job.id, job.receipt, job.attempts, disturbed=False)
        if not left:
            left = True
            continue
        number = log.ask("ack", job.id, job.receipt)
        lost = await queue.settle([Settlement(job, "ack")])
        log.tell(number, "refused" if lost else "done", disturbed=False)
    raise AssertionError("jobs come out without end")
