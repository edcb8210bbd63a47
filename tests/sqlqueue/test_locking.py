"""Other processes on the same file: waiting for their lock, and living on when they keep it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lagoqueue import DriverError, Job, QueueEmpty
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Mode

JOB = Job("a", "Example", b"{}")

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("free", flush=True)
"""


class Holder:
    """Another process that holds the file's write lock until told to let go."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        if self.process.poll() is None:
            self.process.communicate("go\n", timeout=10)


@pytest.fixture
def holder(queue: SQLQueue, path: Path) -> Iterator[Holder]:
    holder = Holder(path)
    yield holder
    holder.let_go()


async def test_a_lock_kept_too_long_is_a_driver_error_and_the_queue_lives_on(url: str, holder: Holder) -> None:
    async with SQLQueue(url, busy_timeout=0.3) as queue:
        started = time.monotonic()
        with pytest.raises(DriverError, match=r"locked by another process.*busy_timeout of 0\.3 s"):
            await queue.push(JOB)
        assert 0.3 <= time.monotonic() - started < 5
        assert await queue.size() == 0  # reading needs no lock
        with pytest.raises(DriverError, match="locked"):
            await queue.pop()
        await asyncio.to_thread(holder.let_go)
        assert await queue.push(JOB)
        assert (await queue.pop()).id == "a"


async def test_a_push_waits_for_the_lock_without_blocking_the_loop(queue: SQLQueue, holder: Holder) -> None:
    pushing = asyncio.create_task(queue.push(JOB))
    for _ in range(20):
        await asyncio.sleep(0.005)  # the loop runs on
    assert not pushing.done()
    await asyncio.to_thread(holder.let_go)
    assert await pushing


async def test_a_waiting_pop_takes_no_lock(queue: SQLQueue, path: Path) -> None:
    popping = asyncio.create_task(queue.pop(30))
    await asyncio.sleep(0.1)  # it has claimed once, found nothing, and now only looks
    holder = await asyncio.to_thread(Holder, path)
    done, _ = await asyncio.wait([popping], timeout=0.3)
    assert not done  # it would have waited for the lock, or failed
    await asyncio.to_thread(holder.let_go)
    await queue.push(JOB)
    assert (await popping).id == "a"


async def test_setup_waits_for_the_lock(url: str, holder: Holder) -> None:
    async with SQLQueue(url) as queue:
        setting_up = asyncio.create_task(queue.setup())
        await asyncio.sleep(0.1)
        assert not setting_up.done()
        await asyncio.to_thread(holder.let_go)
        await setting_up


async def test_a_keeper_waits_for_the_lock_in_its_own_thread(queue: SQLQueue, path: Path) -> None:
    await queue.push(JOB)
    job = await queue.pop()
    keeper = queue.keeper()
    holder = await asyncio.to_thread(Holder, path)
    beating = asyncio.create_task(asyncio.to_thread(keeper.extend, [job]))
    await asyncio.sleep(0.1)
    assert not beating.done()
    await asyncio.to_thread(holder.let_go)
    assert await beating == []
    keeper.close()


async def test_wal_is_on_and_stays_with_the_file(queue: SQLQueue, path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
async def test_synchronous_reaches_the_connection(url: str, synchronous: str, level: int) -> None:
    async with SQLQueue(url, synchronous=synchronous, busy_timeout=1.5) as queue:  # type: ignore[arg-type]
        await queue.setup()
        names = ("synchronous", "busy_timeout")
        pragmas = await queue._run(
            lambda link, now: [link.rows(f"PRAGMA {name}", {})[0][0] for name in names], Mode.READ
        )
        assert pragmas == [level, 1500]


async def test_a_push_by_another_process_is_found_soon(queue: SQLQueue, url: str) -> None:
    popping = asyncio.create_task(queue.pop(30))
    await asyncio.sleep(0.05)
    program = (
        "import asyncio, sys; from lagoqueue import Job; from lagoqueue_sql import SQLQueue\n"
        "async def main():\n"
        "    async with SQLQueue(sys.argv[1]) as queue: await queue.push(Job('a', 'Example', b'{}'))\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, url)
    assert await process.wait() == 0
    pushed = time.monotonic()
    assert (await popping).id == "a"
    assert time.monotonic() - pushed < 2


async def test_an_empty_pop_returns_in_time(queue: SQLQueue) -> None:
    started = time.monotonic()
    with pytest.raises(QueueEmpty):
        await queue.pop(0.2)
    assert 0.2 <= time.monotonic() - started < 2
