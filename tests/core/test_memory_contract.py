"""`MemoryQueue` keeps the contract, in manual time and in real time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import unittest

import pytest

from lagoqueue import MemoryQueue, Queue
from lagoqueue.testing import QueueContract, memory
from lagoqueue.testing.contract.hooks import make_job


class TestMemoryQueue(memory.MemoryContract):
    async def test_a_push_from_another_thread_wakes_a_waiting_pop(self) -> None:
        """`push_sync` needs no event loop, and reaches the one in which the pop waits."""
        queue = MemoryQueue(clock=self.clock)
        self.addAsyncCleanup(queue.close)
        task = asyncio.create_task(queue.pop(600))
        await self.pause()
        await asyncio.to_thread(queue.push_sync, make_job())
        assert (await self.soon(task)).id == "a"


@pytest.mark.slow
class TestMemoryQueueInRealTime(QueueContract, unittest.IsolatedAsyncioTestCase):
    tick = 0.25  # generous: a busy machine must not fail it

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        return MemoryQueue(visibility_timeout=visibility_timeout)


def run_module(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "lagoqueue.testing", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_the_module_runs_the_suite_without_pytest() -> None:
    done = run_module()
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


def test_the_module_fails_when_a_test_does() -> None:
    done = run_module("MemoryContract.no_such_test")
    assert done.returncode != 0
    assert "no_such_test" in done.stderr
