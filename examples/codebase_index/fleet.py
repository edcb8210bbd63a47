"""Worker processes, started, replaced when they die, and stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from codebase_index.jobs import URL

_MOST_STARTS = 50


class Fleet:
    """`size` worker processes on one database."""

    def __init__(self, url: sa.URL, size: int) -> None:
        self._url = url.render_as_string(hide_password=False)
        self._starts = 0
        self.deaths = 0
        self._processes = [self._start() for _ in range(size)]

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        if self._starts > _MOST_STARTS:
            raise RuntimeError(f"workers died {self.deaths} times; giving up")
        root = Path(__file__).parents[1]
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, "-m", "codebase_index.jobs"],
            env={**os.environ, "PYTHONPATH": path, URL: self._url},
            start_new_session=True,  # Ctrl-C reaches the parent, which passes it on
        )

    @property
    def pids(self) -> list[int]:
        """Return the process ids, to kill one and see that nothing is lost."""
        return [process.pid for process in self._processes]

    def replace_dead(self) -> None:
        """Start a new process for each that has died."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self.deaths += 1
                self._processes[place] = self._start()

    def stop(self) -> None:
        """Ask every process to finish what it runs; asked again, they do not wait."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float) -> None:
        """Wait for all to end; kill what has not within `timeout` seconds."""
        for process in self._processes:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
