"""The processes of a scenario: `python program.py ROLE SETTINGS`, the settings in JSON, all noted in the journal."""

from __future__ import annotations

import os
import sys

from tests.faults import failpoints

failpoints.install(os.environ.get("LAGOQUEUE_FAILPOINTS", ""))  # before lagoqueue is imported

import asyncio  # noqa: E402
import logging  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import msgspec  # noqa: E402

from lagoqueue import DriverError, Job, Observer, OutcomeUnknown, Worker, current_job, dispatch, run_until_signal  # noqa: E402
from lagoqueue_sql import SQLQueue  # noqa: E402
from tests.faults.journal import Journal, What  # noqa: E402
from tests.faults.payloads import Errand, ThreadErrand, run, run_in_thread  # noqa: E402
from tests.faults.settings import Producing, Working  # noqa: E402

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


async def work(settings: Working) -> None:
    """Run jobs until told to stop."""
    journal = Journal(Path(settings.journal))

    def note(what: What, text: str = "") -> None:
        job = current_job()
        journal.note(what, job=job.id, receipt=job.receipt or "", attempts=job.attempts, note=text)

    async with Watched(settings.url, **settings.queue) as queue:
        queue.journal = journal
        worker = Worker(queue, observers=[Noting(journal)], **settings.worker)

        @worker.handle(Errand)
        async def errand(payload: Errand) -> None:
            note(What.BEGAN)
            try:
                await run(payload, current_job().attempts)
            except BaseException as error:
                note(What.ENDED, type(error).__name__)
                raise
            note(What.ENDED)

        @worker.handle(ThreadErrand)
        def thread_errand(payload: ThreadErrand) -> None:
            note(What.BEGAN)
            try:
                run_in_thread(payload, current_job().attempts)
            except BaseException as error:
                note(What.ENDED, type(error).__name__)
                raise
            note(What.ENDED)

        # Once the loop runs, signals are heeded.
        asyncio.get_running_loop().call_soon(partial(journal.note, What.STARTED, note="worker"))
        await run_until_signal(worker)


async def produce(settings: Producing) -> None:
    """Push all jobs, each as often as it takes."""
    journal = Journal(Path(settings.journal))
    journal.note(What.STARTED, note="producer")
    async with SQLQueue(settings.url, **settings.queue) as queue:
        for number in range(settings.first, settings.first + settings.jobs):
            await push(queue, journal, make(settings, number))
            await asyncio.sleep(1 / settings.rate)


def make(settings: Producing, number: int) -> Errand:
    kind = ThreadErrand if settings.threads else Errand
    do, attempts = settings.special.get(number, ("", 0))
    return kind(number, settings.seconds, do, attempts)


async def push(queue: SQLQueue, journal: Journal, errand: Errand) -> None:
    """Push one job, and do as the messages of `DriverError` and `OutcomeUnknown` say."""
    job = f"job-{errand.number}"
    journal.note(What.PUSHING, job=job)
    unknown = False
    while True:
        try:
            await dispatch(queue, errand, id=job, exist_ok=unknown)
        except DriverError as error:
            unknown = unknown or isinstance(error, OutcomeUnknown)
            await asyncio.sleep(AGAIN)
        else:
            journal.note(What.PUSHED, job=job, note="again" if unknown else "")
            return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(relativeCreated)d %(name)s %(levelname)s %(message)s")
    role, text = sys.argv[1:]
    if role == "work":
        asyncio.run(work(msgspec.json.decode(text, type=Working)))
    else:
        asyncio.run(produce(msgspec.json.decode(text, type=Producing)))
