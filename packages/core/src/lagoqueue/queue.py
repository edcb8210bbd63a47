"""`Queue`: the contract between dispatch, the worker and a driver. The semantics live here.

A driver implements five primitives (`push`, `pop`, `ack`, `nack`, `size`); the other operations
have bodies in terms of those, which a driver overrides to be faster or atomic.
`lagoqueue.testing.QueueContract` checks any driver against what is said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

import msgspec

from lagoqueue._time import at_least_one
from lagoqueue.errors import DriverError, InvalidValue, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import DEFAULT_QUEUE, MAX_LABEL, Job, check_text
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.observer import Observer


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """How one reservation ends: the argument of one `ack`, `nack`, `release` or `fail`.

    Attributes:
        job: The popped job.
        action: Which of the four.
        delay: For nack and release: seconds until the job is due again.
        failure: For fail: why.
        seconds: For ack: how long the handler ran; None if nobody knows. A driver may count it.
    """

    job: Job
    action: Literal["ack", "nack", "release", "fail"]
    delay: float = 0.0
    failure: Failure | None = None
    seconds: float | None = None


class Turn(NamedTuple):
    """What `Queue.turn` did.

    Attributes:
        jobs: Reserved now, in `pop`'s order; perhaps none.
        lost: The settled jobs whose reservation was lost.
    """

    jobs: list[Job]
    lost: list[Job]


class Producer(Protocol):
    """What `dispatch` pushes to: a queue, a named view of one, or a view inside a transaction."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels served; the first is what pushed jobs get."""
        ...

    @property
    def observers(self) -> Sequence[Observer]:
        """Told when a job has been pushed."""
        ...

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """See `Queue.push`."""
        ...

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """See `Queue.push_many`."""
        ...


class SyncProducer(Protocol):
    """What `dispatch_sync` pushes to: a producer whose push does not need an event loop."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels served; the first is what pushed jobs get."""
        ...

    @property
    def observers(self) -> Sequence[Observer]:
        """Told when a job has been pushed."""
        ...

    def push_sync(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Push as `Queue.push` does, from any thread."""
        ...


class WorkerInfo(msgspec.Struct, frozen=True):
    """What a worker tells of itself, for a store that lists the workers that live.

    Attributes:
        queues: The labels that it serves, in order.
        concurrency: Handlers that it runs at once.
        name: Where it runs, "host:pid"; workers of one process share it.
    """

    queues: tuple[str, ...]
    concurrency: int
    name: str


class Keeper(ABC):
    """Keeps reservations alive from a thread of its own, with its own connection where it has one.

    A worker makes one when it starts (`Queue.keeper`), uses it in its keeper thread only, and
    closes it last of all when it drains. So a blocked event loop does not look like a dead worker.
    """

    interval: float
    """Seconds between two beats; well below the visibility timeout."""

    @abstractmethod
    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        """Extend the reservations by the visibility timeout, and return those that are lost."""

    def beat(self, jobs: Sequence[Job]) -> list[Job]:
        """Extend what the worker holds, which may be nothing, and return what is lost.

        Called once at the start and then every `interval`. A driver that also notes that the worker
        is alive overrides it; one that raises is called again after another `interval`.
        """
        return self.extend(jobs) if jobs else []

    def close(self) -> None:  # noqa: B027 - a keeper without a connection has nothing to close
        """Give back what the keeper holds."""


class Queue(ABC):
    """A transport for jobs with at-least-once delivery and fenced reservations.

    Durations are float seconds; one that is negative, NaN, infinite or longer than ten years is
    refused with `InvalidValue` before anything is changed. Every method may raise `QueueClosed`, and `DriverError` when its store fails.

    Attributes:
        labels: The labels that `pop` and `size` look at, in order; `push` gives a job the first
            when it comes through `dispatch`. An unnamed queue serves only "default".
        observers: Told of pushes made by `dispatch`; shared by all views of a queue.
        turns_at_once: How many turns a worker that may hold many jobs has under way, 1 or 2. With 2 a store that does one
            after the other is at work on the next while the worker is busy with what the last one brought; it costs
            smaller turns, so it pays only where the store works outside this process.
    """

    labels: tuple[str, ...] = (DEFAULT_QUEUE,)
    observers: list[Observer]
    turns_at_once: int = 1

    def __init__(self) -> None:
        self.observers = []

    @property
    def failed_jobs(self) -> FailedJobs | None:
        """Where `fail` puts jobs, or None when the driver has no such store."""
        return None

    # --- The five primitives ------------------------------------------------------------------

    @abstractmethod
    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        """Store a job; return once it is as durable as the driver promises.

        The job waits in `job.queue`. Time is the store's: with `delay`, it is due that many
        seconds from the store's now, whatever `available_at` says; else at `available_at`; else
        now. `attempts` is stored as given (0 for a new job) and `receipt` is ignored.

        Returns:
            True when stored; False when the id was live and `exist_ok` was given.

        Raises:
            DuplicateJob: The id is live, and `exist_ok` was not given. Nothing was changed.
            InvalidJob: The job cannot be stored (see `lagoqueue.job.check_job`).
        """

    @abstractmethod
    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        """Reserve one due job and return it with `attempts` one higher and a new `receipt`.

        Of the labels in their order (default: `self.labels`), the first that has a due job; of
        its due jobs the one with the highest priority, then the earliest `available_at`, then the
        one pushed first. Never early. One job goes to exactly one caller. A cancelled pop
        reserves nothing, or leaves a reservation that comes back by itself.

        Raises:
            QueueEmpty: None came due within `wait` seconds.
        """

    @abstractmethod
    async def ack(self, job: Job) -> None:
        """Remove a reserved job: it is done.

        Raises:
            ReservationLost: The reservation ended before; nothing was changed.
        """

    @abstractmethod
    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        """Return a reserved job, due again in `retry_after` seconds. Its attempt stays spent.

        Raises:
            ReservationLost: The reservation ended before; nothing was changed.
        """

    @abstractmethod
    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        """Return how many jobs wait under the labels, due or delayed; reserved ones do not count."""

    # --- Batches and the rest of a reservation's life -------------------------------------------

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        """Push several jobs and return how many were stored. A driver may make it all or nothing.

        Raises:
            DuplicateJob: As in `push`; jobs before it may have been stored.
        """
        return sum([await self.push(job, delay=delay, exist_ok=exist_ok) for job in jobs])

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        """Reserve up to `limit` due jobs in `pop`'s order; wait only for the first.

        Raises:
            QueueEmpty: None came due within `wait` seconds.
            InvalidValue: `limit` is not a whole number from 1.
        """
        at_least_one(limit, "limit")
        jobs = [await self.pop(wait, labels=labels)]
        try:
            while len(jobs) < limit:
                jobs.append(await self.pop(0.0, labels=labels))
        except QueueEmpty:
            pass
        return jobs

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        """End several reservations, each as its settlement says.

        Returns:
            The jobs whose reservation was lost; nothing was changed for those.
        """
        lost: list[Job] = []
        for settlement in settlements:
            try:
                await self._settle_one(settlement)
            except ReservationLost:
                lost.append(settlement.job)
        return lost

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        """Do as `settle` does, and reserve up to `limit` due jobs, without waiting.

        A driver makes it one round trip and one commit where it can: then all of it is done or, when this
        raises, none. That no job came is no promise that none is due, as `pop`'s `QueueEmpty` is.

        Raises:
            InvalidValue: `limit` is not a whole number from 1.
        """
        at_least_one(limit, "limit")
        lost = await self.settle(settlements)
        try:
            return Turn(await self.pop_many(limit, labels=labels), lost)
        except (QueueEmpty, DriverError):  # what was settled is to be known; the next pop says what is wrong
            return Turn([], lost)

    async def _settle_one(self, settlement: Settlement) -> None:
        match settlement.action:
            case "ack":
                await self.ack(settlement.job)
            case "nack":
                await self.nack(settlement.job, settlement.delay)
            case "release":
                await self.release(settlement.job, settlement.delay)
            case "fail":
                await self.fail(settlement.job, settlement.failure)

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        """Move a reserved job to `failed_jobs`; a driver that can makes it one transaction.

        This body records first and removes second, so a crash in between repeats the job but
        does not lose it. It relies on `extend` to refuse a lost reservation before that, so a driver
        with a store overrides `extend`, or this. Without a store the job is removed: `on_failed` is
        then the only record.

        Raises:
            ReservationLost: The reservation ended before; nothing was changed.
        """
        if self.failed_jobs is not None:
            await self.extend(job)  # refuses a lost reservation before anything is recorded
            await self.failed_jobs.record(job, job.queue, failure or Failure("unknown", "unknown"))
        await self.ack(job)

    async def release(self, job: Job, delay: float = 0.0) -> None:
        """Return a reserved job without spending its attempt, due again in `delay` seconds.

        This body cannot give the attempt back, so it spends it; a driver should override it.

        Raises:
            ReservationLost: The reservation ended before; nothing was changed.
        """
        await self.nack(job, delay)

    async def extend(self, job: Job) -> None:  # noqa: B027 - without expiry there is nothing to extend
        """Let the reservation run for a full visibility timeout from now.

        This body serves drivers whose reservations never expire.

        Raises:
            ReservationLost: The reservation ended before; nothing was changed.
        """

    def keeper(self, info: WorkerInfo | None = None) -> Keeper | None:
        """Return what keeps reservations alive from a thread, or None where they never expire.

        Args:
            info: Whose they are; None when it is not a worker that asks.
        """
        return None

    # --- Views and lifecycle --------------------------------------------------------------------

    def named(self, *labels: str) -> Queue:
        """Return a view of this queue that pushes to the first label and pops in their order.

        Raises:
            InvalidValue: No label, or one twice.
            InvalidJob: A label is empty, too long, or holds characters that no store keeps.
        """
        return NamedQueue(self, labels)

    async def close(self) -> None:  # noqa: B027 - a driver without resources has nothing to close
        """Give back what the queue holds. Waiting pops, and every later call, raise `QueueClosed`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class NamedQueue(Queue):
    """A view of a queue under other labels; everything else is the queue's own."""

    def __init__(self, queue: Queue, labels: tuple[str, ...]) -> None:
        if not labels or len(set(labels)) != len(labels):
            raise InvalidValue(f"named() takes one or more different labels, not {labels!r}")
        for label in labels:
            check_text(label, "a queue's label", MAX_LABEL)
        self.queue = queue
        self.labels = labels
        self.observers = queue.observers
        self.turns_at_once = queue.turns_at_once

    @property
    def failed_jobs(self) -> FailedJobs | None:
        return self.queue.failed_jobs

    async def push(self, job: Job, *, delay: float | None = None, exist_ok: bool = False) -> bool:
        return await self.queue.push(self._relabelled(job), delay=delay, exist_ok=exist_ok)

    async def push_many(self, jobs: Sequence[Job], *, delay: float | None = None, exist_ok: bool = False) -> int:
        return await self.queue.push_many([self._relabelled(job) for job in jobs], delay=delay, exist_ok=exist_ok)

    def _relabelled(self, job: Job) -> Job:
        if job.queue == self.labels[0]:
            return job
        return msgspec.structs.replace(job, queue=self.labels[0])

    async def pop(self, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> Job:
        return await self.queue.pop(wait, labels=labels or self.labels)

    async def pop_many(self, limit: int, wait: float = 0.0, *, labels: Sequence[str] | None = None) -> list[Job]:
        return await self.queue.pop_many(limit, wait, labels=labels or self.labels)

    async def size(self, *, labels: Sequence[str] | None = None) -> int:
        return await self.queue.size(labels=labels or self.labels)

    async def ack(self, job: Job) -> None:
        await self.queue.ack(job)

    async def nack(self, job: Job, retry_after: float = 0.0) -> None:
        await self.queue.nack(job, retry_after)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        return await self.queue.settle(settlements)

    async def turn(self, settlements: Sequence[Settlement], limit: int, *, labels: Sequence[str] | None = None) -> Turn:
        return await self.queue.turn(settlements, limit, labels=labels or self.labels)

    async def fail(self, job: Job, failure: Failure | None = None) -> None:
        await self.queue.fail(job, failure)

    async def release(self, job: Job, delay: float = 0.0) -> None:
        await self.queue.release(job, delay)

    async def extend(self, job: Job) -> None:
        await self.queue.extend(job)

    def keeper(self, info: WorkerInfo | None = None) -> Keeper | None:
        return self.queue.keeper(info)

    def named(self, *labels: str) -> Queue:
        return self.queue.named(*labels)

    async def close(self) -> None:
        await self.queue.close()
