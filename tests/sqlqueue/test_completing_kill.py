"""A process that is killed at any moment leaves each job with its effect, or in the queue: never both, never neither."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from typing import Any

import pytest
import sqlalchemy as sa

from lagoqueue import dispatch
from tests.sqlqueue.completing_program import open_queue, work, worker_of
from tests.sqlqueue.payloads import Effect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

JOBS = 3000

# One statement, so one snapshot: a server may still be committing for a client that is dead.
STATE = sa.text(
    "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM effects), "
    "(SELECT count(*) FROM effects JOIN jobs ON jobs.id = CAST(effects.number AS CHAR(5)))"
)


def state(engine: sa.Engine) -> tuple[int, int, int]:
    """Return how many jobs are live, how many have an effect, and how many both."""
    with engine.connect() as connection:
        live, done, both = connection.execute(STATE).one()
    return live, done, both


@pytest.mark.parametrize(("database", "kills"), [("url", 100), ("postgres_url", 100), ("mariadb_url", 40)])
async def test_kills_at_any_moment_leave_each_job_done_or_in_the_queue(
    database: str, kills: int, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(database)
    random_ = random.Random(11)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE effects (number INTEGER NOT NULL)"))
    async with open_queue(url) as queue:
        await queue.setup()
        for number in range(JOBS):
            await dispatch(queue, Effect(number), id=str(number))

    spawn: Any = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["tests.sqlqueue.completing_program"])
    for kill in range(kills):
        receiver, sender = spawn.Pipe(duplex=False)
        process = spawn.Process(target=work, args=(url, kill % 2 == 1, sender))
        process.start()
        sender.close()
        assert await asyncio.to_thread(receiver.poll, 30), "no job was done"
        time.sleep(random_.uniform(0, 0.02))  # noqa: ASYNC251 - as exact as it gets
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        receiver.close()
        live, finished, both = state(engine)
        assert (both, live + finished) == (0, JOBS), f"after kill {kill + 1}"

    _, done, _ = state(engine)
    with engine.connect() as connection:
        interrupted = connection.scalar(sa.text("SELECT count(*) FROM jobs WHERE attempts > 0")) or 0
    assert interrupted > kills / 10, "kills hit workers with jobs in their hands"
    assert done > 2 * kills, "and between jobs that it did"

    async with open_queue(url) as queue:
        worker = worker_of(queue, blocking=False)
        task = asyncio.create_task(worker.run())
        deadline = time.monotonic() + 120
        while state(engine)[0] and time.monotonic() < deadline:  # noqa: ASYNC110 - it is the database that tells
            await asyncio.sleep(0.05)
        worker.stop()
        await task
    with engine.connect() as connection:
        numbers = [row[0] for row in connection.execute(sa.text("SELECT number FROM effects ORDER BY number"))]
    assert numbers == list(range(JOBS))
    assert state(engine) == (0, JOBS, 0)
