"""What the peer files share: the command line, the clocks, and the handlers that the peers run.

A file `PACKAGE_on_STORE.py` holds one peer, and the packages that it needs in its first lines (PEP 723), so that it
can be given an environment of its own. It has a subclass of `Peer`, and ends with `main(ThatClass)`. Then

    python FILE --describe          prints what there is to run
    python FILE WORKLOAD SETTINGS   runs it once, and prints one line of JSON

Both in and out are JSON objects, explained at `Settings` and `main`. This module imports nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import json
import os
import random
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from time import perf_counter
from typing import Any, ClassVar, Literal

PAYLOAD = {"user_id": 42}
BULK = 1000
LIMIT = 100.0
"""Seconds after which a run has failed: it prints where it stands, and ends."""

WARM_UP = 5
"""Jobs at the start of a latency run that are not counted: connections are made and statements prepared in them."""


@dataclass
class Settings:
    """One run.

    Attributes:
        jobs: How many jobs.
        variant: One of those that `--describe` names for the workload; None is the first.
        dsn: An empty PostgreSQL database, as `postgresql://...`.
        redis: An empty Redis, as `redis://...`.
        file: Path of a SQLite database that is not there yet.
        gap: The least and the most seconds from a job's start to the next dispatch, in a latency run; what it is, is left
            to chance, so that nobody's polling falls into step with it.
    """

    jobs: int
    variant: str | None = None
    dsn: str = ""
    redis: str = ""
    file: str = ""
    gap: tuple[float, float] = (0.03, 0.05)


@dataclass
class Seen:
    """What the handlers of this process have seen. They may run in many threads: counting is one atomic step.

    Attributes:
        jobs: How many there will be.
        enough: Called by the handler of the last one.
        reply: Where to tell the producer of a latency run that a job has started.
        first: When the first handler started.
        last: When the last one did; since it does nothing, it was done.
        latencies: Seconds from dispatch to start.
    """

    jobs: int
    enough: Callable[[], object]
    reply: int | None = None
    first: float = 0.0
    last: float = 0.0
    latencies: list[float] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def job(self, sent: float | None) -> None:
        number = next(self._numbers)
        if sent is not None:
            self.latencies.append(perf_counter() - sent)  # the system's one monotonic clock, whichever process asks
        if number == 1:
            self.first = perf_counter()
        if self.reply is not None:
            os.write(self.reply, b".")
        if number == self.jobs:
            self.last = perf_counter()
            self.enough()


seen = Seen(0, lambda: None)
"""Filled in before a worker starts. It is global because some libraries find their handlers by name."""


def handle(user_id: int, sent: float | None = None) -> None:
    """Do nothing with a job, as a function."""
    seen.job(sent)


async def handle_async(user_id: int, sent: float | None = None) -> None:
    """Do nothing with a job, as a coroutine."""
    seen.job(sent)


class Peer(ABC):
    """One queue library on one store, at the best setting that it documents.

    Libraries without asyncio block in these coroutines, where nothing else wants to run.

    Attributes:
        package: Its name on PyPI.
        store: What it needs of `Settings`.
        delivery: What becomes of a job whose worker dies.
        enqueue_one, enqueue_bulk: How that is done, in words; "" where there is no bulk call.
        drain: The variants of the worker, the best one first; and each in words.
        latency: The same for the idle worker.
        jobs: How many jobs each workload does in about two seconds on a machine of two cores.
        settings: This run's.
    """

    package: ClassVar[str]
    store: ClassVar[Literal["postgresql", "redis", "sqlite"]]
    delivery: ClassVar[Literal["at least once", "at most once"]]
    enqueue_one: ClassVar[str]
    enqueue_bulk: ClassVar[str] = ""
    drain: ClassVar[dict[str, str]]
    latency: ClassVar[dict[str, str]]
    jobs: ClassVar[dict[str, int]]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    async def open(self, *, create: bool) -> None:
        """Connect; create the schema first, if this process is the one to do so."""

    async def close(self) -> None:
        """Close what `open` opened."""
        return

    @abstractmethod
    async def push(self, payload: dict[str, Any]) -> None:
        """Enqueue one job for `handle` or `handle_async`, durably when this returns."""

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        """Enqueue a thousand, in one call where there is one."""
        for payload in payloads:
            await self.push(payload)

    async def settle(self) -> None:
        """Let the store get over a bulk load, as it would have if the jobs had come one by one (ANALYZE, say)."""
        return

    @abstractmethod
    async def work(self, variant: str) -> None:
        """Run one worker until `seen.enough` is called, and let it end what it began."""


def enough() -> asyncio.Event:
    """Return an event that is set when the last job has started, in whichever thread."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    seen.enough = lambda: loop.call_soon_threadsafe(event.set)
    return event


async def enough_of(worker: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run a worker until the last job has started; return its task, which goes on.

    Raises:
        RuntimeError: It ended before. What it raised itself comes first.
    """
    running, started = asyncio.create_task(worker), asyncio.create_task(enough().wait())
    await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        await running
        raise RuntimeError("the worker ended before the last job")
    return running


# --- Workloads ------------------------------------------------------------------------------------


async def run_enqueue_one(peer: Peer) -> dict[str, Any]:
    await peer.open(create=True)
    await peer.push(PAYLOAD)
    began = perf_counter()
    for _ in range(peer.settings.jobs):
        await peer.push(PAYLOAD)
    seconds = perf_counter() - began
    await peer.close()
    return {"jobs": peer.settings.jobs, "seconds": seconds}


async def run_enqueue_bulk(peer: Peer) -> dict[str, Any]:
    await peer.open(create=True)
    calls = max(1, peer.settings.jobs // BULK)
    batch = [PAYLOAD] * BULK
    await peer.push_many(batch)
    began = perf_counter()
    for _ in range(calls):
        await peer.push_many(batch)
    seconds = perf_counter() - began
    await peer.close()
    return {"jobs": calls * BULK, "seconds": seconds}


async def run_drain(peer: Peer) -> dict[str, Any]:
    await peer.open(create=True)
    jobs = peer.settings.jobs
    for begin in range(0, jobs, BULK):
        await peer.push_many([PAYLOAD] * min(BULK, jobs - begin))
    await peer.settle()
    seen.jobs = jobs
    await peer.work(peer.settings.variant or next(iter(peer.drain)))
    await peer.close()
    return {"jobs": jobs, "seconds": seen.last - seen.first}


async def run_latency(peer: Peer) -> dict[str, Any]:
    """The producer is a process of its own, and sends the next job when the last one has started and the worker had a rest."""
    await peer.open(create=True)
    seen.jobs = WARM_UP + peer.settings.jobs
    here, there = os.pipe()
    settings = json.dumps(asdict(peer.settings))
    producer = await asyncio.create_subprocess_exec(sys.executable, sys.argv[0], "produce", settings, stdin=here)
    os.close(here)
    seen.reply = there
    await peer.work(peer.settings.variant or next(iter(peer.latency)))
    await producer.wait()
    await peer.close()
    return {"latencies_ms": [each * 1000 for each in seen.latencies[WARM_UP:]]}


async def run_produce(peer: Peer) -> dict[str, Any]:
    await peer.open(create=False)
    for _ in range(WARM_UP + peer.settings.jobs):
        await asyncio.sleep(random.uniform(*peer.settings.gap))
        await peer.push(PAYLOAD | {"sent": perf_counter()})
        if not os.read(0, 1):  # the worker is gone
            break
    await peer.close()
    return {}


WORKLOADS = {
    "enqueue_one": run_enqueue_one,
    "enqueue_bulk": run_enqueue_bulk,
    "drain": run_drain,
    "latency": run_latency,
    "produce": run_produce,
}


# --- The command line -----------------------------------------------------------------------------


def describe(peer: type[Peer]) -> dict[str, Any]:
    workloads: dict[str, list[str | None]] = {"enqueue_one": [None], "enqueue_bulk": [None]}
    if not peer.enqueue_bulk:
        del workloads["enqueue_bulk"]
    return {
        "store": peer.store,
        "workloads": workloads | {"drain": list(peer.drain), "latency": list(peer.latency)},
        "jobs": peer.jobs,
    }


def main(peer: type[Peer], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    """Do what the command line says; print the result.

    That of a run is {"jobs", "seconds"} or {"latencies_ms"}, and with either "setting": what was set, in words;
    "version": the package's; "delivery": as in `Peer`. The clock of "drain" runs from the start of the first handler
    to the end of the last.

    Args:
        peer: The one in this file.
        loop: Makes the event loop that its documentation recommends; None is asyncio's own.
    """
    workload, *rest = sys.argv[1:]
    if workload == "--describe":
        print(json.dumps(describe(peer)))
        return
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)  # whatever a library prints is no result
        settings = Settings(**json.loads(rest[0]))
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                result = runner.run(WORKLOADS[workload](peer(settings)))
        except Exception:
            traceback.print_exc()
            os._exit(1)  # as below
        if result:
            words = getattr(peer, workload)
            if isinstance(words, dict):
                words = words[settings.variant or next(iter(words))]
            result |= {"setting": words, "version": version(peer.package), "delivery": peer.delivery}
            print(json.dumps(result), file=output, flush=True)
    os._exit(0)  # nobody's threads or exit handlers keep the harness waiting
