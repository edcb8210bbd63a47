"""The two processes of the soak: one dispatches numbered jobs, one runs them, and notes how that goes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.rounds import percentile
from harness.script import Settings, clock
from lagoqueue import Worker, dispatch_many
from ours.opening import open_queue
from ours.resting import resident

TICK = 0.01
BATCH = 100
WINDOW = 5_000
"""Jobs on their way, at most, when the rate is left open."""

PATIENCE = 60.0
"""Seconds without any job after which those that have not run count as lost."""


class Numbered(msgspec.Struct, frozen=True):
    """A job that can be told from all others."""

    number: int
    at: float


@dataclass
class Shared:
    """What the processes know of each other.

    Attributes:
        pushed: How many jobs were pushed so far.
        producer: The number of the producer's process, once it has begun.
        done: How many of them have run so far.
        all_pushed: Set when there will be no more.
        said: Where the worker puts what it notes, and at last what became of the jobs.
    """

    pushed: Any
    producer: Any
    done: Any
    all_pushed: Any
    said: Any


@dataclass
class Seen:
    """What the worker has seen; it takes no more memory for more jobs.

    Attributes:
        all_below: Every job with a smaller number has run.
        beyond: Those that have run besides.
        twice: How many ran again.
        latencies: Milliseconds from dispatch to start, since the last note.
    """

    all_below: int = 0
    beyond: set[int] = field(default_factory=set)
    twice: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many different jobs have run."""
        return self.all_below + len(self.beyond)

    def run(self, job: Numbered) -> None:
        self.latencies.append((clock() - job.at) * 1000)
        if job.number < self.all_below or job.number in self.beyond:
            self.twice += 1
        else:
            self.beyond.add(job.number)
        while self.all_below in self.beyond:
            self.beyond.remove(self.all_below)
            self.all_below += 1


def produce(settings: Settings, shared: Shared) -> None:
    """Dispatch for so many seconds at a rate, or, if that is None, as fast as the worker goes."""

    async def dispatch_all() -> None:
        async with open_queue(settings) as queue:
            await queue.setup()
            shared.producer.value = os.getpid()
            start = clock()
            while (passed := clock() - start) < settings["seconds"]:
                sent = shared.pushed.value
                if settings["rate"] is None:
                    count = BATCH if shared.pushed.value - shared.done.value < WINDOW else 0
                else:
                    count = int(passed * settings["rate"]) - sent
                now = clock()
                if count:
                    await dispatch_many(queue, [Numbered(sent + each, now) for each in range(count)])
                    shared.pushed.value += count
                if settings["rate"] is not None or not count:
                    await asyncio.sleep(TICK)
        shared.all_pushed.set()

    asyncio.run(dispatch_all())


def work(settings: Settings, shared: Shared) -> None:
    """Run the jobs until all that were pushed have run, or none comes any more."""
    asyncio.run(run_worker(settings, shared))


async def run_worker(settings: Settings, shared: Shared) -> None:
    seen = Seen()
    async with open_queue(settings) as queue:
        await queue.setup()
        worker = Worker(queue, concurrency=settings["concurrency"], prefetch=settings["prefetch"])

        @worker.handle(Numbered)
        async def receive(job: Numbered) -> None:
            seen.run(job)
            shared.done.value = seen.done

        noting = asyncio.create_task(note(settings, shared, seen))
        running = asyncio.create_task(worker.run())
        await noting
        worker.stop()
        await running
    lost = shared.pushed.value - seen.done
    shared.said.put({"pushed": shared.pushed.value, "lost": lost, "run again": seen.twice})


async def note(settings: Settings, shared: Shared, seen: Seen) -> None:
    """Say every few seconds how it goes, until it is over."""
    start = before = last_job = clock()
    done = 0
    while not (shared.all_pushed.is_set() and seen.done >= shared.pushed.value) and clock() - last_job < PATIENCE:
        await asyncio.sleep(settings["every"])
        latencies, seen.latencies = seen.latencies, []
        now, ran = clock(), seen.done - done
        if ran:
            last_job = now
        if ran and not shared.all_pushed.is_set():  # what is left then is no steady load
            sample = {"at": now - start, "rate": ran / (now - before), "backlog": shared.pushed.value - seen.done}
            sample |= {f"p{percent}": percentile(latencies, percent) for percent in (50, 99)}
            shared.said.put(sample | {"worker_mb": resident(), "producer_mb": resident(shared.producer.value)})
        before, done = now, seen.done
