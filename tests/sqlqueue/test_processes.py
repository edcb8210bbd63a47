"""Several processes on one file, with and without being killed. Effects go to a log outside the database."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lagoqueue import dispatch_many
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
JOBS = 20_000
PATIENCE = 240.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `program.py` in a role, and see to it that it is gone when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("program.py")), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def numbers(log: Path) -> Counter[int]:
    """How often each job's effect is in the log."""
    return Counter(int(line.split()[0]) for line in log.read_bytes().splitlines())


async def push_all(queue: SQLQueue) -> None:
    for first in range(0, JOBS, 1000):
        await dispatch_many(queue, [Effect(number) for number in range(first, first + 1000)])


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "locked" not in errors


async def test_four_processes_do_every_job_once(queue: SQLQueue, url: str, tmp_path: Path, start: Start) -> None:
    log = tmp_path / "effects"
    log.touch()
    workers = [start("work", url, str(log), "600") for _ in range(4)]
    await push_all(queue)
    deadline = time.monotonic() + PATIENCE
    while len(log.read_bytes().splitlines()) < JOBS and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)  # the log is written by other processes
    for worker in workers:
        stop(worker)
    done = numbers(log)
    assert set(done) == set(range(JOBS))
    assert set(done.values()) == {1}
    pids = Counter(line.split()[1] for line in log.read_bytes().splitlines())
    assert len(pids) == 4
    assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_five_kills_lose_nothing(queue: SQLQueue, url: str, tmp_path: Path, start: Start, seed: int) -> None:
    random_ = random.Random(seed)
    log = tmp_path / "effects"
    log.touch()
    await push_all(queue)
    arguments = ("work", url, str(log), "3")
    workers = [start(*arguments) for _ in range(4)]
    kills = sorted(random_.sample(range(JOBS // 20, JOBS * 19 // 20), 5))  # by the number of effects seen
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        seen = log.read_bytes().splitlines()
        if kills and len(seen) >= kills[0]:
            del kills[0]
            victim = workers.pop(random_.randrange(len(workers)))
            victim.send_signal(signal.SIGKILL)
            victim.communicate()
            workers.append(start(*arguments))
        elif not kills and len({line.split()[0] for line in seen}) == JOBS:
            break
        else:
            await asyncio.sleep(0.02)
    assert not kills
    for worker in workers:
        stop(worker)
    done = numbers(log)
    assert set(done) == set(range(JOBS))
    again = sum(done.values()) - JOBS
    assert again <= 5 * 40  # each kill repeats at most what its worker held: 8 running, 32 ahead
    assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)


def test_eight_processes_never_see_a_locked_database(url: str, queue: SQLQueue, start: Start) -> None:
    processes = [start("contend", url, "150") for _ in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, output) == (0, "done\n"), errors
