"""Subjects: scripts that do a workload in a process of their own, and say in one line of JSON how it went.

    python SCRIPT WORKLOAD SETTINGS

The settings are a JSON object: where the store is (`dsn`, `file`), how much to do (`jobs`), and whatever else the workload
takes. The answer is `{"jobs": n, "seconds": s}` or `{"latencies_ms": [...]}` or single figures, and may say what it was
in `setting` and `version`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

PATIENCE = 150.0
"""Seconds after which a subject is given up."""

Answer = dict[str, Any]
Store = Callable[[], AbstractContextManager[dict[str, Any]]]
"""Gives an empty store of its own to each run, as settings that say where it is."""


class SubjectFailed(Exception):
    """A subject did not answer; the message has the end of what it said instead."""


@dataclass(frozen=True)
class Subject:
    """A workload of a script.

    Attributes:
        name: How it is called in the table.
        script: Below benchmarks/, without its suffix, as in "raw/postgresql".
        workload: Its first argument.
        store: Where it runs.
        settings: Beside where the store is.
        python: The interpreter; its own environment for a peer.
    """

    name: str
    script: str
    workload: str
    store: Store
    settings: dict[str, Any] = field(default_factory=dict)
    python: str = sys.executable

    def run(self) -> Answer:
        """Run it once, in a store of its own.

        Raises:
            SubjectFailed: It failed, took too long, or answered what is no JSON.
        """
        with self.store() as place:
            command = [self.python, str(ROOT / f"{self.script}.py"), self.workload, json.dumps(place | self.settings)]
            return ask(command)


def ask(command: Sequence[str]) -> Answer:
    """Run a program that answers in one line of JSON, its last.

    Raises:
        SubjectFailed: It failed, took too long, or answered what is no JSON.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an application has its bytecode on disk
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise SubjectFailed(f"not done within {PATIENCE:g} s") from None
    finally:
        end(process)
    try:
        if process.returncode == 0:
            answer: Answer = json.loads(out.splitlines()[-1])
            return answer
    except (IndexError, ValueError):
        pass
    said = [line for line in err.splitlines() if line.strip()] or [f"exit code {process.returncode}, and nothing said"]
    raise SubjectFailed(said[-1][:300])


def end(process: subprocess.Popen[str]) -> None:
    """Kill a subject and all that it started, if they are there still: they are one group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def round_robin(subjects: Sequence[Subject], rounds: int) -> dict[str, list[Answer] | SubjectFailed]:
    """Run subjects in turns, so that a slow moment of the machine meets all; return what each answered.

    One that fails is left out from then on.
    """
    answers: dict[str, list[Answer] | SubjectFailed] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            before = answers[subject.name]
            if isinstance(before, list):
                try:
                    before.append(subject.run())
                except SubjectFailed as failure:
                    answers[subject.name] = failure
    return answers
