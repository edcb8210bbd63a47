"""Workers are killed: nothing is lost, and what they held comes back long before its visibility timeout.

That stays at a quarter of an hour here, so only the workers table can bring jobs back in time.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import Effects, Processes, each_database, push_all

JOBS = 10_000
KILLS = 8

BACK = 20.0
"""Seconds after which a dead worker's jobs run again: 12 of silence, a beat of another one, and the machine's delays."""

database_url = each_database("sqlite", "postgresql", "mariadb")


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_eight_kills_lose_nothing(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    effects = Effects(tmp_path / "effects")
    killed: list[int] = []
    async with connect(database_url) as queue:
        await queue.setup()
        await push_all(queue, JOBS)
        with Processes(tmp_path) as processes:
            workers = processes.work(database_url, effects, count=8, sleep=0.02, concurrency=4, prefetch=25)
            for kill in range(1, KILLS + 1):
                await effects.until(JOBS * kill // (KILLS + 1))
                victim = workers.pop(chance.randrange(len(workers)))
                victim.kill()
                killed.append(victim.pid)
                workers += processes.work(database_url, effects, sleep=0.02, concurrency=4, prefetch=25)
            last_kill = time.monotonic()
            await effects.until(JOBS)
            back = time.monotonic() - last_kill
            for worker in workers:
                worker.stop()
        effects.check(JOBS, killed=killed)
        again = sum(done.attempts > 1 for seen in effects.done.values() for done in seen)
        print(f"{again} jobs came back; all were done {back:.1f} s after the last kill")
        assert back < BACK
        assert 0 < again <= KILLS * 29  # what a worker of four slots with 25 jobs ahead can hold
        assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
