"""The benchmarks run: tables come out of the micro part, and of subjects in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.processes import ROOT, Subject
from harness.rounds import Entry, latencies, rates
from harness.stores import Stores
from harness.tables import Target

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the benchmarks are for POSIX systems")


def test_the_command_prints_keeps_and_writes_tables(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results" / "latest.json"
    page.write_text("before\n<!-- tables -->\n<!-- end of tables -->\nafter\n")
    command = [sys.executable, str(ROOT / "run.py"), "tiny", "micro", f"--results={results}", f"--markdown={page}"]
    # Without pytest-xdist's own variables, by which pytest-benchmark would take its run for a parallel one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    environment["PYTHONPATH"] = str(ROOT.parent / "tools")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "MemoryQueue, push+pop+ack" in done.stdout
    assert "| MemoryQueue, push+pop+ack |" in page.read_text()
    assert "MemoryQueue, push+pop+ack" in results.read_text()


def test_subjects_in_processes_make_a_table() -> None:
    settings = {"jobs": 10, "synchronous": "normal"}
    with Stores() as stores:
        raw = Subject("raw", "raw/sqlite", "enqueue_one", stores.sqlite, settings)
        ours = Subject("ours", "ours/draining", "drain", stores.sqlite, settings | {"concurrency": 2})
        table = str(rates("key", "A table", [Entry(raw), Entry(ours, "raw", Target(0.1))], rounds=1))
    assert "A table" in table
    assert "1 x 10" in table
    assert "≥ 0.1" in table


def test_a_subject_that_fails_is_a_row_that_says_so() -> None:
    with Stores() as stores:
        broken = Subject("broken", "raw/sqlite", "no_such_workload", stores.sqlite)
        table = latencies("key", "A table", [Entry(broken)], rounds=1)
    assert "broken: failed: KeyError: 'no_such_workload'" in str(table)
