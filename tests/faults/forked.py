"""A program of the scenarios, forked from a process that has imported it: what takes half a second otherwise takes milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from tests.faults import program

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        program.__name__,
        *(f"lagoqueue_sql.dialects.{name}" for name in ("sqlite", "postgresql", "mysql")),
        *(f"sqlalchemy.dialects.{name}" for name in ("sqlite.pysqlite", "postgresql.psycopg", "mysql.pymysql")),
    ]
)


class Forked:
    """A process of its own, which `Process` can use as it does a Popen."""

    def __init__(self, role: str, settings: str, errors: Path) -> None:
        errors.touch()
        self._process = CONTEXT.Process(target=run, args=(role, settings, str(errors)), daemon=True)
        with patch.dict(sys.modules, {"__main__": ModuleType("__main__")}):  # else it would import pytest's first
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of a Popen: minus the signal, if it was killed."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(role: str, settings: str, errors: str) -> None:
    """Be the program, with a file for all that it says."""
    log = os.open(errors, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    program.main(role, settings)
