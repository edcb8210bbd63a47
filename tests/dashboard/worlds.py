"""Queues with something in them, and inspectors over them of every kind, for tests of the dashboard."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from lagoqueue import MemoryQueue, Queue, Worker
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor import (
    DetailedInspector,
    FailedJobs,
    History,
    Inspector,
    JobView,
    LiveState,
    MemoryInspector,
    Stats,
    StatsView,
)
from lagoqueue.observer import Observer
from lagoqueue_sql import SQLInspector, SQLQueue


class Welcome(msgspec.Struct):
    """The payload of the jobs in these worlds."""

    user: int
    password: str = "hunter2"


@dataclass
class World:
    """A queue, the inspector that a dashboard gets, and one that sees all and that no dashboard has."""

    queue: Queue
    inspector: Inspector
    truth: DetailedInspector
    observers: tuple[Observer, ...] = ()
    ran: list[int] = field(default_factory=list)
    """The users that `run` has welcomed."""

    @property
    def failed_jobs(self) -> FailedJobs:
        """The store of failed jobs."""
        store = self.truth.failed_jobs
        assert store is not None
        return store

    async def fail(
        self,
        *ids: str,
        label: str = "default",
        name: str = "Welcome",
        error: Failure | BaseException | None = None,
        payload: bytes = b'{"user":1}',
        **fields: Any,
    ) -> None:
        """Have failed jobs with these ids, the last one the newest."""
        error = error if error is not None else ValueError("no such user")
        for job_id in ids:
            await self.failed_jobs.record(Job(job_id, name, payload, attempts=3, queue=label, **fields), label, error)

    async def kept(self) -> list[str]:
        """Return the ids of the failed jobs, newest first."""
        return [view.id for view in (await self.failed_jobs.search(limit=1000)).jobs]

    async def live(self) -> list[str]:
        """Return the ids of the jobs that wait, are delayed or run, in no order that means anything."""
        states: tuple[LiveState, ...] = ("pending", "delayed", "reserved")
        pages = [await self.truth.jobs(state, limit=1000) for state in states]
        return sorted(job.id for page in pages for job in page.jobs)

    async def state(self) -> object:
        """Return all that a request could change, to compare: failed and live jobs, depths and counters."""
        depths = [msgspec.structs.replace(depth, oldest=None) for depth in await self.truth.depths()]
        counted = [
            (row.queue, row.pushed, row.processed, row.failed, row.retried) for row in (await self.truth.stats()).queues
        ]
        return await self.failed_jobs.search(limit=1000), await self.live(), depths, counted

    async def run(self) -> None:
        """Run what is due."""

        async def welcome(payload: Welcome) -> None:
            self.ran.append(payload.user)

        worker = Worker(self.queue, observers=self.observers)
        worker.handle(Welcome, welcome)
        await worker.run(burst=True)


@asynccontextmanager
async def memory() -> AsyncIterator[World]:
    """A queue in memory, with counters and a history."""
    async with MemoryQueue() as queue:
        stats, history = Stats(), History()
        queue.observers += [stats, history]
        inspector = MemoryInspector(stats, queue.failed_jobs, queue=queue, history=history)
        yield World(queue, inspector, inspector, (stats, history))


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[World]:
    """A queue in a database."""
    async with SQLQueue(f"sqlite:///{folder / 'jobs.db'}") as queue:
        await queue.setup()
        inspector = SQLInspector(queue)
        yield World(queue, inspector, inspector)


@asynccontextmanager
async def plain() -> AsyncIterator[World]:
    """A queue of which somebody else's inspector tells no more than every inspector must."""
    async with memory() as world:
        world.inspector = Plain(world.truth)
        yield world


EVERY_WORLD = pytest.mark.parametrize("world", ["memory", "sqlite", "plain"], indirect=True)
"""A test is run in each kind of world."""

DETAILED_WORLDS = pytest.mark.parametrize("world", ["memory", "sqlite"], indirect=True)
"""A test is run in each world whose inspector tells everything."""


class Plain:
    """An `Inspector` of six methods and no more."""

    def __init__(self, inner: Inspector) -> None:
        self._inner = inner

    async def stats(self) -> StatsView:
        return await self._inner.stats()

    async def pending(self, queue: str, page: int = 1) -> list[JobView]:
        return await self._inner.pending(queue, page)

    async def failed(self, page: int = 1) -> list[JobView]:
        return await self._inner.failed(page)

    async def retry(self, job_id: str) -> None:
        await self._inner.retry(job_id)

    async def forget(self, job_id: str) -> None:
        await self._inner.forget(job_id)

    async def flush_failed(self) -> int:
        return await self._inner.flush_failed()


Before = Callable[[str], Awaitable[None]]
"""Called with the name of each method before it is let through; it may raise, wait, or never return."""


class Watch:
    """Counts the calls of an inspector and its store, and does to each what a test says.

    Attributes:
        inspector: To give to a dashboard instead of the inspector that is watched.
        calls: How often each method was called.
        running, most: Calls that run now, and that ran at once at most, of each method.
        before: Done before each call.
    """

    def __init__(self, inspector: Inspector) -> None:
        self.calls: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.before: Before = _nothing
        self.inspector = cast("Inspector", self._watched(inspector))

    def _watched(self, inner: object) -> object:
        """Return an object with the methods of another; a class is made for it, since a protocol asks for that."""
        names = [name for name in dir(type(inner)) if not name.startswith("_")]
        members: dict[str, Any] = {}
        for name in names:
            if inspect.iscoroutinefunction(getattr(type(inner), name)):
                members[name] = self._through(inner, name)
        if isinstance(inner, DetailedInspector):
            store = None if inner.failed_jobs is None else self._watched(inner.failed_jobs)
            members["failed_jobs"] = store
        return type("Watched", (), members)()

    def _through(self, inner: object, name: str) -> Any:
        async def method(_: object, *args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            self.running[name] += 1
            self.most[name] = max(self.most[name], self.running[name])
            try:
                await self.before(name)
                return await getattr(inner, name)(*args, **options)
            finally:
                self.running[name] -= 1

        return method


async def _nothing(name: str) -> None:
    """Let it through."""


async def broken(name: str) -> None:
    """Fail as a driver does, with a message that must stay in the log."""
    raise ConnectionError(f"{name}: could not connect to db.internal as postgres:s3cret")


async def hanging(name: str) -> None:
    """Never return."""
    await asyncio.Event().wait()


def only(names: set[str], what: Before) -> Before:
    """Return what is done to these methods alone."""

    async def before(name: str) -> None:
        if name in names:
            await what(name)

    return before
