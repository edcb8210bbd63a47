"""The other processes of these tests: `python program.py ROLE URL SETTINGS`, the settings in JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from lagoqueue import Failure, Job, LagoqueueError, QueueEmpty, Worker, current_job, run_until_signal
from lagoqueue.keeping import KeeperThread
from lagoqueue.queue import WorkerInfo
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect, connect


def say(line: object) -> None:
    print(line, flush=True)


async def work(url: str, log: str, sleep: float, queue: dict[str, Any], worker: dict[str, Any]) -> None:
    """Run the jobs until told to stop; each appends to the log a line of `processes.Effects`."""
    effects = os.open(log, os.O_WRONLY | os.O_APPEND)
    async with connect(url, **queue) as store:
        runner = Worker(store, **worker)

        @runner.handle(Effect)
        async def effect(payload: Effect) -> None:
            began = time.time()
            if sleep:
                await asyncio.sleep(sleep)
            line = f"{payload.number} {current_job().attempts} {os.getpid()} {began:.6f}\n"
            os.write(effects, line.encode())

        say("ready")
        await run_until_signal(runner)


async def contend(url: str, jobs: int) -> None:
    """Push, pop and settle one job at a time, as fast as the others let it."""
    async with connect(url) as queue:
        say("ready")
        sys.stdin.readline()
        for number in range(jobs):
            await queue.push(Job(f"{os.getpid()}-{number}", "Example", b"{}"))
            job = await queue.pop(30)
            if number % 3 == 0:
                await queue.nack(job)
                job = await queue.pop(30)
            await queue.ack(job)
    say("done")


async def hold(url: str, visibility_timeout: float, beating: bool) -> None:
    """Pop a job, and once told to go on, try everything that only its holder may do; say how each try ended."""
    async with connect(url, visibility_timeout=visibility_timeout) as queue:
        keeper = None
        held: list[Job] = []
        if beating:
            info = WorkerInfo(queue.labels, 1, "holder")
            keeper = KeeperThread(queue.keeper(info), lambda: held, lambda job: None, logging.getLogger("holder"))
        say("ready")
        held.append(await queue.pop(10))
        say("held")
        await asyncio.to_thread(sys.stdin.readline)
        say(json.dumps(await endings(queue, held[0])))
        if keeper is not None:
            keeper.stop(5)


async def endings(queue: SQLQueue, job: Job) -> dict[str, str]:
    """What comes of settling and extending a reservation, one way after the other."""
    tries: dict[str, Callable[[], Awaitable[None]]] = {
        "extend": lambda: queue.extend(job),
        "nack": lambda: queue.nack(job),
        "release": lambda: queue.release(job),
        "fail": lambda: queue.fail(job, Failure("late", "late")),
        "ack": lambda: queue.ack(job),
        "completing": lambda: asyncio.to_thread(complete, queue, job),
    }
    results: dict[str, str] = {}
    for name, attempt in tries.items():
        try:
            await attempt()
        except LagoqueueError as error:
            results[name] = type(error).__name__
        else:
            results[name] = "done"
    return results


def complete(queue: SQLQueue, job: Job) -> None:
    with queue.completing(job):
        pass


def set_up(url: str, processes: int) -> None:
    """Fork, and have every child call setup at once; 'ready' when they stand at the start."""
    gate, start = os.pipe()
    children: list[int] = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            os.close(start)
            os.read(gate, 1)  # until the parent closes its end
            status = 1
            with suppress(BaseException):
                connect(url).setup_sync()
                status = 0
            os._exit(status)
        children.append(child)
    say("ready")
    sys.stdin.readline()
    os.close(start)
    say(sum(os.waitpid(child, 0)[1] == 0 for child in children))


def fork(url: str, jobs: int) -> None:
    """Use a queue, fork, use it in the child, use and close it in the parent, and use it in the child again."""
    queue = connect(url)
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()

    async def use(who: str) -> None:
        for number in range(jobs):
            await queue.push(Job(f"{who}-{number}", "Example", b"{}"))
        for _ in range(jobs):
            await queue.ack(await queue.pop(10))
        with suppress(QueueEmpty):  # a pop that waits may open more than others
            await queue.pop(0.1)

    async def use_and_close(who: str) -> None:
        async with queue:
            await use(who)

    asyncio.run(use("before"))
    say("ready")
    child = os.fork()
    if child == 0:
        asyncio.run(use("child"))
        os.write(to_parent, b".")
        os.read(from_parent, 1)
        asyncio.run(use_and_close("late child"))
        return
    os.read(from_child, 1)
    asyncio.run(use_and_close("parent"))
    os.write(to_child, b".")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ROLES: dict[str, Callable[..., Awaitable[None]]] = {"work": work, "contend": contend, "hold": hold}
FORKING: dict[str, Callable[..., None]] = {"set_up": set_up, "fork": fork}


async def run(role: Callable[..., Awaitable[None]], url: str, settings: dict[str, Any]) -> None:
    await role(url, **settings)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # that is the point
    logging.basicConfig(level=logging.WARNING, format="%(relativeCreated)d %(name)s %(levelname)s %(message)s")
    role, url, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        if role in ROLES:
            asyncio.run(run(ROLES[role], url, settings))
        else:
            FORKING[role](url, **settings)
    except QueueEmpty as error:
        sys.exit(f"{role}: {error}")
