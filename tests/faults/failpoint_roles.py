"""What the processes do that `test_failpoint_kills.py` has killed, and how the test itself does the rest."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from lagoqueue import Fail, Job, Observer, Worker, current_job
from lagoqueue.monitor import FailedFilter
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import connect

LIFE = 60.0
"""Seconds after which a process that was to be killed ends by itself, since it did not get to its failpoint."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to do: a role, with its jobs under a table of their own.

    `done` and `told` are files, to which are appended the ids of jobs that a handler has done, and of those that are
    known to have been pushed.
    """

    role: str
    url: str
    table: str
    done: str
    told: str
    jobs: int
    visibility_timeout: float
    concurrency: int
    max_retry: int


# --- Payloads -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """To be written down as done."""

    number: int


@dataclass(frozen=True)
class WriteInThread:
    """The same by a sync handler, so that there is time for the next claim while it runs."""

    number: int


@dataclass(frozen=True)
class Hang:
    """The same, but in a process that is to be killed the handler never ends."""

    number: int


@dataclass(frozen=True)
class GiveUp:
    """To fail for good."""

    number: int


@dataclass(frozen=True)
class Complete:
    """To be written into the database, in the transaction in which the job ends."""

    number: int


@dataclass(frozen=True)
class CompleteInThread:
    """The same by a sync handler."""

    number: int


Payload = Write | WriteInThread | Hang | GiveUp | Complete | CompleteInThread


def job_of(payload: Payload) -> Job:
    return Job(str(payload.number), type(payload).__name__, msgspec.json.encode(payload))


def effects_of(table: str) -> sa.TableClause:
    """The table of what `Complete` writes."""
    return sa.table(f"effects_{table}", sa.column("id", sa.String(20)))


def append(path: str, job_id: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{job_id}\n".encode())
    os.close(file)


# --- Roles ----------------------------------------------------------------------------------------


def queue_of(orders: Orders) -> SQLQueue:
    return connect(orders.url, table=orders.table, visibility_timeout=orders.visibility_timeout)


def worker_of(queue: SQLQueue, orders: Orders, observer: Observer, *, hangs: bool) -> Worker:
    """Return a worker for all payloads. It has an observer, without which `before_run` is not reached."""
    worker = Worker(
        queue,
        concurrency=orders.concurrency,
        max_retry=orders.max_retry,
        backoff=0,
        poll=0.1,
        observers=[observer],
    )
    insert = sa.insert(effects_of(orders.table))

    @worker.handle(Write)
    async def write(payload: Write) -> None:
        append(orders.done, current_job().id)

    @worker.handle(WriteInThread)
    def write_in_thread(payload: WriteInThread) -> None:
        append(orders.done, current_job().id)

    @worker.handle(Hang)
    async def hang(payload: Hang) -> None:
        if hangs:
            await asyncio.Event().wait()
        append(orders.done, current_job().id)

    @worker.handle(GiveUp)
    async def give_up(payload: GiveUp) -> None:
        raise Fail("given up")

    @worker.handle(Complete)
    async def complete(payload: Complete) -> None:
        async with queue.completing(current_job()) as connection:
            await connection.execute(insert.values(id=current_job().id))

    @worker.handle(CompleteInThread)
    def complete_in_thread(payload: CompleteInThread) -> None:
        with queue.completing(current_job()) as connection:
            connection.execute(insert.values(id=current_job().id))

    return worker


async def work(queue: SQLQueue, orders: Orders) -> None:
    """Work for as long as one is let."""
    await worker_of(queue, orders, Observer(), hangs=True).run()


async def push(queue: SQLQueue, orders: Orders) -> None:
    """Push one job after another."""
    for number in range(orders.jobs):
        job = job_of(Write(number))
        await queue.push(job)
        append(orders.told, job.id)


async def push_many(queue: SQLQueue, orders: Orders) -> None:
    """Push two jobs at once, again and again."""
    for number in range(0, orders.jobs, 2):
        jobs = [job_of(Write(each)) for each in (number, number + 1)]
        await queue.push_many(jobs)
        for job in jobs:
            append(orders.told, job.id)


async def retry(queue: SQLQueue, orders: Orders) -> None:
    """Retry one failed job after another."""
    for number in range(orders.jobs):
        await queue.failed_jobs.retry(str(number))


async def retry_many(queue: SQLQueue, orders: Orders) -> None:
    """Retry all failed jobs at once."""
    await queue.failed_jobs.retry_many(FailedFilter())


ROLES = {role.__name__: role for role in (work, push, push_many, retry, retry_many)}


async def run(orders: Orders) -> None:
    async with asyncio.timeout(LIFE), queue_of(orders) as queue:
        await ROLES[orders.role](queue, orders)


def main() -> None:
    asyncio.run(run(msgspec.json.decode(sys.argv[1], type=Orders)))
