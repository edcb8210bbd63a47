"""The processes of a scenario: `python program.py ROLE SETTINGS`, the settings in JSON, all noted in the journal."""

from __future__ import annotations

import os
import sys

if os.environ.get("LAGOQUEUE_FAILPOINTS"):
    from tests.faults import failpoints

    failpoints.install()  # before lagoqueue is imported

import asyncio
import logging
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lagoqueue import (
    DriverError,
    DuplicateJob,
    Job,
    Observer,
    OutcomeUnknown,
    Worker,
    current_job,
    dispatch,
    exponential,
    run_until_signal,
)
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Trouble, own_error
from tests.faults.journal import Journal, What
from tests.faults.payloads import Errand, ThreadErrand, run, run_in_thread
from tests.faults.settings import Producing, Working

AGAIN = 0.05
"""Seconds after which a push is tried again."""


class Watched(SQLQueue):
    """A queue that notes what is claimed."""

    journal: Journal

    async def pop_many(self, *args: Any, **options: Any) -> list[Job]:
        return self._claimed(await super().pop_many(*args, **options))

    async def turn(self, *args: Any, **options: Any) -> Any:
        turn = await super().turn(*args, **options)
        self._claimed(turn.jobs)
        return turn

    def _claimed(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            self.journal.note(What.CLAIMED, job=job.id, receipt=job.receipt or "", attempts=job.attempts)
        return jobs


class Noting(Observer):
    """Notes how each delivery was settled, once the store has it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def _note(self, what: What, job: Job, note: str = "") -> None:
        self._journal.note(what, job=job.id, receipt=job.receipt or "", attempts=job.attempts, note=note)

    def processed(self, job: Job, seconds: float) -> None:
        self._note(What.PROCESSED, job)

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self._note(What.RETRIED, job, f"{delay:.6f}")

    def released(self, job: Job, delay: float) -> None:
        self._note(What.RELEASED, job, f"{delay:.6f}")

    def failed(self, job: Job, error: BaseException) -> None:
        self._note(What.FAILED, job, type(error).__name__)

    def lost(self, job: Job) -> None:
        self._note(What.LOST, job)


def note_conflicts(queue: SQLQueue, journal: Journal) -> None:
    """Have each conflict with another transaction noted: the queue gets over them without a word."""
    database = queue._database
    trouble = database.trouble

    def noting(error: Exception) -> Trouble:
        found = trouble(error)
        if found is Trouble.CONFLICT:
            own = own_error(error)
            journal.note(What.CONFLICT, note=getattr(own, "sqlite_errorname", type(own).__name__))
        return found

    database.trouble = noting  # type: ignore[method-assign]


async def work(settings: Working) -> None:
    """Run jobs until told to stop."""
    journal = Journal(Path(settings.journal))
    if isinstance(backoff := settings.worker.get("backoff"), list):
        settings.worker["backoff"] = exponential(*backoff)

    def note(what: What, text: str = "") -> None:
        job = current_job()
        journal.note(what, job=job.id, receipt=job.receipt or "", attempts=job.attempts, note=text)

    async with Watched(settings.url, **settings.queue) as queue:
        queue.journal = journal
        note_conflicts(queue, journal)
        worker = Worker(queue, observers=[Noting(journal)], **settings.worker)

        async def errand(payload: Errand) -> None:
            note(What.BEGAN)
            try:
                await run(payload, current_job().attempts)
            except BaseException as error:
                note(What.ENDED, type(error).__name__)
                raise
            note(What.ENDED)

        def thread_errand(payload: ThreadErrand) -> None:
            note(What.BEGAN)
            try:
                run_in_thread(payload, current_job().attempts)
            except BaseException as error:
                note(What.ENDED, type(error).__name__)
                raise
            note(What.ENDED)

        if "Errand" in settings.names:
            worker.handle(Errand, errand)
        if "ThreadErrand" in settings.names:
            worker.handle(ThreadErrand, thread_errand)
        # Once the loop runs, signals are heeded.
        asyncio.get_running_loop().call_soon(partial(journal.note, What.STARTED, note="worker"))
        await run_until_signal(worker)


async def produce(settings: Producing) -> None:
    """Push all jobs, each as often as it takes, until told to end."""
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    journal = Journal(Path(settings.journal))
    journal.note(What.STARTED, note="producer")
    numbers = iter(range(settings.first, settings.first + settings.jobs))
    async with SQLQueue(settings.url, **settings.queue) as queue, asyncio.TaskGroup() as pushers:
        note_conflicts(queue, journal)

        async def push_some() -> None:
            due = time.monotonic()
            for number in numbers:
                await push(queue, journal, settings, number)
                due = max(due + settings.pushers / settings.rate, time.monotonic())  # nobody makes up for lost time
                await asyncio.sleep(due - time.monotonic())
                if ending.is_set():
                    return

        for _ in range(settings.pushers):
            pushers.create_task(push_some())


async def push(queue: SQLQueue, journal: Journal, settings: Producing, number: int) -> None:
    """Push one job, and do as the messages of `DriverError` and `OutcomeUnknown` say."""
    job = f"job-{number}"
    kind = settings.mix[number % len(settings.mix)]
    do, attempts = settings.special.get(number, (kind.do, kind.attempts))
    errand = (ThreadErrand if kind.threads else Errand)(number, kind.seconds, do, attempts, kind.stubborn)
    journal.note(What.PUSHING, job=job, note=f"{kind.delay:g}" if kind.delay else "")
    unknown = False
    while True:
        try:
            await dispatch(queue, errand, id=job, delay=kind.delay or None, exist_ok=unknown)
        except DriverError as error:
            unknown = unknown or isinstance(error, OutcomeUnknown)
            journal.note(What.REFUSED, job=job, note=f"{type(error).__name__}: {error}")
            await asyncio.sleep(AGAIN)
        except DuplicateJob:
            journal.note(What.DUPLICATE, job=job)
            return
        else:
            journal.note(What.PUSHED, job=job, note="again" if unknown else "")
            return


def main(role: str, settings: str) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if role == "work":
        asyncio.run(work(msgspec.json.decode(settings, type=Working)))
    else:
        asyncio.run(produce(msgspec.json.decode(settings, type=Producing)))


if __name__ == "__main__":
    main(*sys.argv[1:])
