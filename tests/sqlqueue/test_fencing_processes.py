"""A process that is stopped while it holds a job, and wakes up when the job is another's, can do nothing to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from lagoqueue import Job, QueueEmpty
from lagoqueue.queue import WorkerInfo
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import Process, Processes, each_database

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be stopped here")

REFUSED = dict.fromkeys(("extend", "nack", "release", "fail", "ack", "completing"), "ReservationLost")

BACK = 20.0
"""Seconds after which a silent worker's jobs are given to another: 12 of silence, a beat, and the machine's delays."""

database_url = each_database("sqlite", "postgresql", "mariadb")
slow_database_url = each_database("sqlite", "postgresql")


async def test_a_process_that_slept_past_its_lease_is_refused(database_url: str, tmp_path: Path) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
        with Processes(tmp_path) as processes:
            (first,) = processes.start("hold", database_url, visibility_timeout=1, beating=False)
            await queue.push(Job("a", "Example", b"{}"))
            first.expect("held")
            first.signal(signal.SIGSTOP)
            taken = await queue.pop(10)
            assert (taken.id, taken.attempts) == ("a", 2)
            await wake_up_and_be_refused(first)
            await is_still_ours(queue, taken)


@pytest.mark.slow
async def test_a_process_that_was_taken_for_dead_is_refused(slow_database_url: str, tmp_path: Path) -> None:
    async with connect(slow_database_url) as queue:
        await queue.setup()
        with Processes(tmp_path) as processes:
            (first,) = processes.start("hold", slow_database_url, visibility_timeout=900, beating=True)
            await queue.push(Job("a", "Example", b"{}"))
            first.expect("held")
            first.signal(signal.SIGSTOP)
            taken = await until_taken_over(queue)
            assert (taken.id, taken.attempts) == ("a", 2)
            await wake_up_and_be_refused(first)
            await is_still_ours(queue, taken)


async def until_taken_over(queue: SQLQueue) -> Job:
    """Beat for a worker of our own, which notices that the other one is silent."""
    keeper = queue.keeper(WorkerInfo(queue.labels, 1, f"test:{os.getpid()}"))
    deadline = time.monotonic() + BACK
    try:
        while True:
            await asyncio.to_thread(keeper.beat, [])
            try:
                return await queue.pop(1)
            except QueueEmpty:
                assert time.monotonic() < deadline
    finally:
        await asyncio.to_thread(keeper.close)


async def wake_up_and_be_refused(process: Process) -> None:
    process.signal(signal.SIGCONT)
    process.tell()
    assert json.loads(await asyncio.to_thread(process.hear)) == REFUSED
    await asyncio.to_thread(process.ends)


async def is_still_ours(queue: SQLQueue, job: Job) -> None:
    await queue.extend(job)
    with pytest.raises(QueueEmpty):
        await queue.pop()
    await queue.ack(job)
    assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
