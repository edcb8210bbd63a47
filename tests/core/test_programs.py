"""Workers as programs: signals, and the command line. Each test runs real processes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lagoqueue import MemoryQueue, Worker, run_until_signal

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_finish(number: signal.Signals) -> None:
    with start("tests.core.program", "5") as process:
        assert line_of(process) == "started 5"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert rest.splitlines() == ["finished 5", "returned []"], errors
    assert process.returncode == 0, errors


def test_a_second_signal_does_not_wait_and_the_job_is_given_back_unspent() -> None:
    with start("tests.core.program", "600") as process:
        assert line_of(process) == "started 600"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # two signals at once are one to the kernel
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
    assert rest.splitlines() == ["cancelled 600", "returned [0]"], errors
    assert time.monotonic() - began < 10


async def test_run_until_signal_restores_the_handlers_and_raises_what_a_worker_raises() -> None:
    before = signal.getsignal(signal.SIGTERM)
    queue = MemoryQueue()
    await queue.close()
    other = Worker(MemoryQueue())
    with pytest.raises(Exception, match="closed"):
        await asyncio.wait_for(run_until_signal(Worker(queue), other), 10)
    assert signal.getsignal(signal.SIGTERM) is before


def test_run_until_signal_outside_the_main_thread_says_what_to_use() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(run_until_signal(Worker(MemoryQueue())))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert "main thread" in str(caught[0])


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lagoqueue", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_runs_a_worker_or_a_factory_of_one() -> None:
    done = run_command("worker", "tests.core.program:make_worker", "--burst")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["started 0", "finished 0"]
    assert "worker started on default with Resize" in done.stderr


def test_the_command_stops_on_a_signal() -> None:
    with start("lagoqueue", "worker", "tests.core.program:worker") as process:
        assert process.stderr is not None
        assert "worker started" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("tests.core.program", "MODULE:ATTRIBUTE"),
        ("no_such_module:worker", "no module 'no_such_module'"),
        ("tests.core.program:nothing", "no attribute 'nothing'"),
        ("tests.core.program:queue", "not a Worker"),
    ],
)
def test_a_wrong_target_is_a_usage_error(target: str, says: str) -> None:
    done = run_command("worker", target)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version() -> None:
    assert "MODULE:ATTRIBUTE" in run_command("worker", "--help").stdout
    assert run_command("--version").stdout.startswith("lagoqueue, version 0.")
