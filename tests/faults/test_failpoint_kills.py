"""A process that is killed at any failpoint leaves every job done, failed or in the queue, and what is left gets done.

Each kill has tables of its own, so all of one database go on at the same time: the processes that are killed a few at a
time, and what comes after them at once. There it is this process that has the other worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa

from lagoqueue import Failure, Job, Observer
from lagoqueue.queue import Settlement
from lagoqueue_sql import SQLQueue
from tests.faults import failpoints
from tests.faults.failpoint_roles import (
    Complete,
    CompleteInThread,
    GiveUp,
    Hang,
    Orders,
    Payload,
    Write,
    WriteInThread,
    effects_of,
    job_of,
    queue_of,
    worker_of,
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here"),
]

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("failpoint_program.py")

PATIENCE = 60.0
"""Seconds after which a worker has not got done what was left."""

AT_ONCE = 4
"""Cases that make their tables, or start a process, at the same time."""

LONG = 900.0
"""Seconds of visibility timeout that no test can wait for."""


class Left(NamedTuple):
    """How many jobs are where after a kill; one may be done and live as well."""

    live: int
    failed: int
    done: int


class Kill(NamedTuple):
    """A kill.

    Attributes:
        failpoint: Where the process is killed.
        left: What that leaves where; None where that depends on how many other transactions a database takes.
        at: At which time the process is killed there.
        jobs: The payloads that lie there before: in the queue for `work`, failed for `retry`.
        role: What the process does.
        pushes: How many jobs it is to push.
        first: Where another process is killed before, which then looks as if it had been silent for long.
    """

    failpoint: str
    left: Left | None
    at: int = 1
    jobs: tuple[type[Payload], ...] = 3 * (Write,)
    role: str = "work"
    pushes: int = 0
    first: str | None = None
    visibility_timeout: float = 2.0
    concurrency: int = 1
    max_retry: int = 3


KILLS = (
    Kill("after_claim", Left(2, 0, 1), at=2),
    Kill("before_run", Left(2, 0, 1), at=2),
    Kill("after_run", Left(2, 0, 2), at=2),
    Kill("before_turn", Left(2, 0, 2), at=2),
    Kill("after_settle", Left(1, 0, 2), at=2),
    # Settled alone: by itself while the next claim waits.
    Kill("before_settle", Left(1, 0, 1), jobs=(WriteInThread,), concurrency=2),
    Kill("before_beat", Left(1, 0, 0), at=2, jobs=(Hang,)),
    Kill("after_beat", Left(1, 0, 0), at=2, jobs=(Hang,)),
    Kill("inside_strike", Left(1, 0, 0), jobs=(Write,), first="after_claim", visibility_timeout=LONG),
    Kill("inside_burial", Left(2, 1, 0), at=2, jobs=3 * (GiveUp,)),
    # A job whose only attempt has killed its worker.
    Kill("inside_burial", Left(1, 0, 0), jobs=(Write,), first="before_run", max_retry=1),
    Kill("before_commit", None, at=5, jobs=6 * (GiveUp,)),
    Kill("after_commit", None, at=5, jobs=6 * (GiveUp,)),
    Kill("inside_completing", Left(2, 0, 1), at=2, jobs=3 * (Complete,)),
    Kill("after_completing", Left(1, 0, 2), at=2, jobs=3 * (Complete,)),
    Kill("inside_completing_sync", Left(2, 0, 1), at=2, jobs=3 * (CompleteInThread,)),
    Kill("after_completing_sync", Left(1, 0, 2), at=2, jobs=3 * (CompleteInThread,)),
    Kill("inside_retry", Left(1, 2, 0), at=2, role="retry"),
    Kill("inside_retry_many", Left(0, 3, 0), role="retry_many"),
    Kill("before_push", Left(1, 0, 0), at=2, jobs=(), role="push", pushes=3),
    Kill("after_push", Left(2, 0, 0), at=2, jobs=(), role="push", pushes=3),
    Kill("before_push_many", Left(2, 0, 0), at=2, jobs=(), role="push_many", pushes=6),
    Kill("after_push_many", Left(4, 0, 0), at=2, jobs=(), role="push_many", pushes=6),
)


def test_the_product_has_no_failpoint_at_which_nothing_is_killed() -> None:
    assert {kill.failpoint for kill in KILLS} == set(failpoints.places())


# --- One kill -------------------------------------------------------------------------------------


class Settled(Observer):
    """Says each time that a job has been settled."""

    def __init__(self) -> None:
        self.again = asyncio.Event()

    def processed(self, job: Job, seconds: float) -> None:
        self.again.set()

    def failed(self, job: Job, error: BaseException) -> None:
        self.again.set()


class State(NamedTuple):
    """The ids of all jobs, as often as they are there."""

    live: Counter[str]
    failed: Counter[str]
    effects: Counter[str]
    """Of transactions that completed a job."""
    written: Counter[str]

    @property
    def done(self) -> set[str]:
        return {*self.effects, *self.written}

    @property
    def left(self) -> Left:
        return Left(len(self.live), len(self.failed), len(self.done))


class Case:
    """One kill in one database, from the empty tables to the last check."""

    def __init__(self, kill: Kill, number: int, url: str, folder: Path) -> None:
        self._kill = kill
        self._orders = Orders(
            role=kill.role,
            url=url if not url.startswith("sqlite") else f"sqlite:///{folder / str(number)}.db",
            table=f"jobs_{number}",
            done=str(folder / f"done-{number}"),
            told=str(folder / f"told-{number}"),
            jobs=len(kill.jobs) + kill.pushes,
            visibility_timeout=kill.visibility_timeout,
            concurrency=kill.concurrency,
            max_retry=kill.max_retry,
        )
        self._engine = sa.create_engine(self._orders.url, poolclass=sa.NullPool)

    async def go(self, starts: asyncio.Semaphore) -> None:
        async with queue_of(self._orders) as queue:
            async with starts:
                await self._set_up(queue)
            pushed = await self._fill(queue)
            if self._kill.first is not None:
                await self._die(starts, "work", f"{self._kill.first}=kill")
                self._silence(queue)
            await self._die(starts, self._kill.role, f"{self._kill.failpoint}=kill@{self._kill.at}")
            state = self._state(queue)
            assert self._kill.left in (None, state.left)
            assert ids(self._orders.told) <= state.live.keys()
            if self._kill.pushes:
                pushed = set(state.live)
            self._check(state, pushed)
            await self._finish(queue)
            state = self._state(queue)
            assert not state.live
            assert not state.failed.keys() & state.done
            self._check(state, pushed)

    async def _set_up(self, queue: SQLQueue) -> None:
        await queue.setup()
        with self._engine.begin() as connection:
            connection.execute(sa.text(f"CREATE TABLE effects_{self._orders.table} (id VARCHAR(20) NOT NULL)"))

    async def _fill(self, queue: SQLQueue) -> set[str]:
        jobs = [job_of(payload(number)) for number, payload in enumerate(self._kill.jobs)]
        if jobs:
            await queue.push_many(jobs)
        if self._kill.role.startswith("retry"):
            held = await queue.pop_many(len(jobs))
            failure = Failure("by hand", "by hand")
            assert await queue.settle([Settlement(job, "fail", failure=failure) for job in held]) == []
        return {job.id for job in jobs}

    async def _die(self, starts: asyncio.Semaphore, role: str, text: str) -> None:
        """Start a process, and see it killed by itself."""
        orders = msgspec.json.encode(msgspec.structs.replace(self._orders, role=role))
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        async with starts:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(PROGRAM), orders.decode()),
                env={**os.environ, "PYTHONPATH": paths, failpoints.VARIABLE: text},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                output, _ = await process.communicate()
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
        assert process.returncode == -signal.SIGKILL, f"{text} was not reached\n{output.decode()}"

    def _silence(self, queue: SQLQueue) -> None:
        """Let the worker that was killed have been silent for long."""
        workers = queue.metadata.tables["lagoqueue_workers"]
        mine = workers.c.jobs_table == self._orders.table
        with self._engine.begin() as connection:
            assert connection.execute(sa.update(workers).where(mine).values(beaten_at=0)).rowcount == 1

    async def _finish(self, queue: SQLQueue) -> None:
        """Have a worker do what is left."""
        settled = Settled()
        worker = worker_of(queue, self._orders, settled, hangs=False)
        run = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(PATIENCE):
                while self._state(queue).live:
                    await settled.again.wait()
                    settled.again.clear()
        finally:
            worker.stop()
            await run

    def _state(self, queue: SQLQueue) -> State:
        """Look with one statement, so one snapshot: of a client that is dead a server may still be rolling back."""
        jobs, failed = (queue.metadata.tables[f"{prefix}{self._orders.table}"] for prefix in ("", "failed_"))
        found: dict[str, Counter[str]] = {"live": Counter(), "failed": Counter(), "effects": Counter()}
        columns = {"live": jobs.c.id, "failed": failed.c.id, "effects": effects_of(self._orders.table).c.id}
        looks = [sa.select(sa.literal(where).label("place"), column.label("id")) for where, column in columns.items()]
        with self._engine.connect() as connection:
            for where, job_id in connection.execute(sa.union_all(*looks)):
                found[where][job_id] += 1
        return State(**found, written=Counter(lines(self._orders.done)))

    def _check(self, state: State, pushed: set[str]) -> None:
        """See that no job is lost, none has come from nowhere, and none is where another state of it is."""
        assert state.live.keys() | state.failed.keys() | state.done == pushed
        assert not state.live.keys() & state.failed.keys()
        assert not state.live.keys() & state.effects.keys()
        assert max((*state.live.values(), *state.failed.values(), *state.effects.values()), default=1) == 1


def lines(path: str) -> list[str]:
    return Path(path).read_text().split() if Path(path).exists() else []


def ids(path: str) -> set[str]:
    return set(lines(path))


# --- All of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", [None, "postgres_url", "mariadb_url"], ids=["sqlite", "postgresql", "mariadb"])
async def test_a_kill_at_any_failpoint_loses_no_job_and_has_none_in_two_places(
    fixture: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url: Any = "sqlite://" if fixture is None else request.getfixturevalue(fixture)
    starts = asyncio.Semaphore(AT_ONCE)
    cases = [Case(kill, number, url, tmp_path) for number, kill in enumerate(KILLS)]
    outcomes = await asyncio.gather(*(case.go(starts) for case in cases), return_exceptions=True)
    wrong = {f"{kill}": outcome for kill, outcome in zip(KILLS, outcomes, strict=True) if outcome is not None}
    if wrong:
        raise BaseExceptionGroup(f"after {len(wrong)} of {len(KILLS)} kills: {', '.join(wrong)}", [*wrong.values()])
