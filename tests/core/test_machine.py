"""Random histories on `MemoryQueue`, every answer compared with the model's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lagoqueue import MemoryQueue, Queue
from lagoqueue.testing import ManualClock
from lagoqueue.testing.machine import QueueMachine


class MemoryMachine(QueueMachine):
    async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
        return MemoryQueue(visibility_timeout=visibility_timeout, clock=clock)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_memory_queue_answers_as_the_model_does() -> None:
    run_state_machine_as_test(
        MemoryMachine, settings=settings(max_examples=200, stateful_step_count=50, deadline=None, print_blob=True)
    )


def test_without_hypothesis_the_message_says_what_to_install() -> None:
    program = """
import sys
sys.modules["hypothesis"] = None
import lagoqueue.testing
try:
    import lagoqueue.testing.machine
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "lagoqueue.testing.machine needs hypothesis: pip install hypothesis\n"
