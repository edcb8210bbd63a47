"""Wrong uses of the public API. Each line that ends in `# E:` must be an error in mypy and in pyright, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from lagoqueue import Handlers, Job, MemoryQueue, Queue, Settlement, Worker, current_job, dispatch, dispatch_sync
from lagoqueue.monitor import MemoryInspector, Sampler
from lagoqueue_sql import SQLQueue, SyncSQLQueue


@dataclass(frozen=True)
class SendWelcomeEmail:
    user_id: int


@dataclass(frozen=True)
class Resize:
    width: int


queue = MemoryQueue()
worker = Worker(queue)


async def send(payload: SendWelcomeEmail) -> None: ...


def two_arguments(payload: Resize, job: Job) -> None: ...


def no_argument() -> None: ...


def any_queue() -> Queue:
    raise LookupError


worker.handle(Resize, send)  # E: the handler of another payload
worker.handle(Resize, two_arguments)  # E: a handler takes the payload alone
worker.handle(Resize, no_argument)  # E: a handler takes the payload
Handlers().handle(Resize)(send)  # E: the same through the decorator
worker.handle(Resize, lambda payload: payload.height)  # E: the payload has no such field
worker.handle(Resize(1), send)  # E: a payload instead of its type

Worker(queue, max_retry="3")  # E: not a number
Worker(queue, backoff="5s")  # E: not a duration
Worker(queue, backoff=lambda: 5)  # E: a policy takes the job
Worker("sqlite:///jobs.db")  # E: a URL instead of a queue
Worker(queue, retries=3)  # E: no such setting
SQLQueue("sqlite:///jobs.db", synchronous="off")  # E: no such setting of SQLite

dispatch_sync(any_queue(), Resize(1))  # E: not every queue can push without an event loop
Settlement(Job("1", "Resize", b""), "done")  # E: no such action
MemoryInspector("stats")  # E: not a Stats
Sampler(queue)  # E: a queue instead of an inspector


async def dispatching() -> None:
    await dispatch(queue, Resize(1), delay="5m")  # E: not a duration
    await dispatch(queue, Resize(1), at=1_700_000_000)  # E: not a datetime
    await dispatch(queue, Resize(1), headers={"n": 1})  # E: headers are text by text
    await dispatch("default", Resize(1))  # E: a label instead of a queue
    job = await queue.pop()
    await queue.ack(job.id)  # E: settling takes the job, for its receipt
    job.attempts = 0  # E: a job is frozen


async def in_transactions(sql: SQLQueue, engine: sa.Engine, session: AsyncSession, blocking: Session) -> None:
    dispatch_sync(sql.within(session), Resize(1))  # E: this session is used with await
    await dispatch(sql.within(blocking), Resize(1))  # E: this session is not
    sql.within(engine)  # E: an engine has no transaction
    sql.within("shop.db")  # E: nor has a text
    SyncSQLQueue("sqlite:///jobs.db").within(session)  # E: there is no loop to await it in
    async with sql.completing(current_job(), blocking):  # E: this session is not used with await
        pass
    with sql.completing(current_job(), session):  # E: this one is
        pass
    sql.completing("1")  # E: an id instead of the job
    await dispatch(SyncSQLQueue("sqlite:///jobs.db"), Resize(1))  # E: it has nothing to await
