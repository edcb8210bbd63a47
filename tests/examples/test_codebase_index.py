"""The demo, as a user runs it: whole, interrupted, and with a worker killed."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

T = TypeVar("T")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory of 120 files, of which three do not parse."""
    directory = tmp_path / "code"
    directory.mkdir()
    for number in range(117):
        (directory / f"module_{number}.py").write_text("class A:\n    def f(self) -> None: ...\n" * 20)
    (directory / "broken.py").write_text("def f(:\n")
    (directory / "coding.py").write_bytes(b"# coding: no-such-coding\n")
    (directory / "nul.py").write_bytes(b"x = 1\0\n")
    return directory


def start(code: Path, database: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "codebase_index", str(code), "--url", f"sqlite:///{database}", *options],
        cwd=EXAMPLES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def worker_pids(process: subprocess.Popen[str]) -> list[int]:
    """Read up to the line that names the workers."""
    assert process.stdout is not None
    for line in process.stdout:
        if "worker processes: " in line:
            return [int(pid) for pid in re.findall(r"\d+", line.split(":")[1])]
    raise AssertionError("no workers were named")


def indexed(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM files").fetchone()
    connection.close()
    return int(rows)


@pytest.mark.slow
def test_files_are_indexed_and_those_that_do_not_parse_end_in_the_failed_jobs(code: Path, tmp_path: Path) -> None:
    process = start(code, tmp_path / "index.db")
    output, _ = process.communicate(timeout=55)
    assert process.returncode == 0, output
    assert "rows     117 files: 4,680 lines, 2,340 functions, 2,340 classes" in output
    assert "retries  6" in output
    assert "failed   3" in output
    assert "broken.py: SyntaxError" in output
    assert "coding.py: SyntaxError" in output
    assert 'broken.py", line 1' in output or "SyntaxError" in output
    assert indexed(tmp_path / "index.db") == 117


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(code: Path, tmp_path: Path) -> None:
    process = start(code, tmp_path / "index.db")
    os.kill(worker_pids(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=55)
    assert process.returncode == 0, output
    assert "1 workers died and were replaced" in output
    assert "rows     117 files" in output
    assert "failed   3" in output


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(code: Path, tmp_path: Path) -> None:
    process = start(code, tmp_path / "index.db", "--workers", "1")
    worker_pids(process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=55)
    assert process.returncode == 130, output
    assert "run it again to go on" in output
    done = indexed(tmp_path / "index.db")
    process = start(code, tmp_path / "index.db")
    output, _ = process.communicate(timeout=55)
    assert process.returncode == 0, output
    assert f"Resuming: {done} files are indexed" in output or done == 0
    assert "rows     117 files" in output
    assert "failed   3" in output


@pytest.mark.slow
def test_one_database_holds_the_indexes_of_several_directories(code: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "fine.py").write_text("def f(): ...\n")
    for directory, rows, failed in ((code, 117, 3), (other, 1, 0), (other, 1, 0)):
        process = start(directory, tmp_path / "index.db")
        output, _ = process.communicate(timeout=55)
        assert process.returncode == 0, output
        assert f"rows     {rows} files" in output
        assert f"failed   {failed}" in output
    assert indexed(tmp_path / "index.db") == 118


def test_bad_arguments_are_usage_errors(tmp_path: Path) -> None:
    for arguments, says in (
        ([str(tmp_path / "nowhere")], "is not a directory"),
        ([str(tmp_path), "--workers", "0"], "--workers"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "codebase_index", *arguments],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert says in done.stderr


@pytest.mark.slow
def test_its_dashboard_shows_the_failures_and_a_retry_runs_the_job_again(code: Path, tmp_path: Path) -> None:
    process = start(code, tmp_path / "index.db", "--port", "0", "--stay")
    try:
        assert process.stdout is not None
        address = ""
        for line in process.stdout:
            address = address or "".join(re.findall(r"Watch it at (\S+)", line))
            if "go on until Ctrl-C" in line:
                break
        with httpx.Client(base_url=address, follow_redirects=True, timeout=20) as browser:
            page = browser.get("failed?view=jobs").text
            assert "broken.py" in page
            (before,) = (job for job in failed(browser) if "broken.py" in job["error"])
            token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
            answer = browser.post(f"failed/{before['id']}/retry", data={"csrf_token": token})
            assert "1 job was put back in the queue" in answer.text
            (after,) = until(lambda: [job for job in failed(browser) if job["id"] == before["id"]])
            assert after["failed_at"] > before["failed_at"]
            assert after["attempts"] == 3

            (code / "broken.py").write_text("def f(): ...\n")
            browser.post(f"failed/{before['id']}/retry", data={"csrf_token": token})
            until(lambda: indexed(tmp_path / "index.db") == 118)
            assert before["id"] not in {job["id"] for job in failed(browser)}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def failed(browser: httpx.Client) -> list[dict[str, Any]]:
    """Return what the dashboard says of the failed jobs."""
    answer = browser.get("api/failed?view=jobs")
    assert answer.status_code == 200, answer.text
    jobs: list[dict[str, Any]] = answer.json()["jobs"]
    return jobs


def until(looked: Callable[[], T]) -> T:
    """Look again until there is something to see, for half a minute: what is waited for is in other processes."""
    for _ in range(300):
        if found := looked():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen within half a minute")
