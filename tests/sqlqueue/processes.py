"""Processes that run `program.py`, the effects that their jobs leave, and the databases that they share."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest
import sqlalchemy as sa

from lagoqueue import dispatch_many
from lagoqueue.queue import Queue
from tests.sqlqueue.payloads import Effect

ROOT = Path(__file__).parents[2]

PROGRAM = Path(__file__).with_name("program.py")

PATIENCE = 60.0
"""Seconds after which a test gives up waiting."""


def each_database(*names: str) -> Any:
    """A fixture with the URL of a new, empty database of each kind: "sqlite", "postgresql", "mariadb"."""
    fixtures = {"sqlite": "url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}

    @pytest.fixture(params=names)
    def database_url(request: pytest.FixtureRequest) -> str:
        url: str = request.getfixturevalue(fixtures[request.param])
        return url

    return database_url


# --- Processes ------------------------------------------------------------------------------------


class Process:
    """A process in one of a program's roles. What it logs goes to a file, so that no pipe fills up."""

    def __init__(self, program: Path, role: str, url: str, settings: dict[str, Any], errors: Path) -> None:
        self._errors = errors
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tools"), *filter(None, [os.environ.get("PYTHONPATH")])])
        with errors.open("wb") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, str(program), role, url, json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": paths},
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def errors(self) -> str:
        """What it has logged."""
        return self._errors.read_text()

    def hear(self) -> str:
        """The next line that it says; empty when it has ended."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().rstrip("\n")

    def expect(self, line: str) -> None:
        assert self.hear() == line, self.errors

    def tell(self, line: str = "go") -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def ends(self) -> None:
        """Wait until it has ended, and see that it has done so well."""
        assert self.popen.wait(PATIENCE) == 0, self.errors

    def stop(self) -> None:
        """Have it drain and end."""
        self.signal(signal.SIGTERM)
        self.ends()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()


class Processes:
    """Starts processes, and leaves none behind.

    Args:
        folder: For what they log.
        program: What they run: a program that takes a role, a URL, and settings in JSON, and says "ready".
    """

    def __init__(self, folder: Path, program: Path = PROGRAM) -> None:
        self._folder = folder
        self._program = program
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()

    def start(self, role: str, url: str, *, count: int = 1, **settings: Any) -> list[Process]:
        """Start processes at once, and return when all of them are ready."""
        first = len(self._started)
        for number in range(first, first + count):
            self._started.append(Process(self._program, role, url, settings, self._folder / f"errors-{number}"))
        for process in self._started[first:]:
            process.expect("ready")
        return self._started[first:]

    def work(
        self,
        url: str,
        effects: Effects,
        *,
        count: int = 1,
        sleep: float = 0.0,
        queue: dict[str, Any] | None = None,
        **worker: Any,
    ) -> list[Process]:
        """Start workers whose handlers take `sleep` seconds.

        Args:
            url: Of the database.
            effects: What the handlers append to.
            count: How many processes.
            sleep: Seconds.
            queue: Settings of the `SQLQueue`.
            worker: Settings of the `Worker`.
        """
        settings: dict[str, Any] = {"log": str(effects.path), "sleep": sleep, "queue": queue or {}, "worker": worker}
        return self.start("work", url, count=count, **settings)


# --- Effects --------------------------------------------------------------------------------------


class Done(NamedTuple):
    """An effect: which job, in which attempt, of which process, and when its handler began (seconds since the epoch)."""

    number: int
    attempts: int
    pid: int
    at: float


class Effects:
    """A log outside the database, to which each handler appends what it has done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[int, list[Done]] = defaultdict(list)
        self._read = 0
        path.touch()

    def read(self) -> int:
        """Take in what is new, and return how many jobs have had an effect."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            number, attempts, pid, at = line.split()
            self.done[int(number)].append(Done(int(number), int(attempts), int(pid), float(at)))
        return len(self.done)

    async def until(self, jobs: int, *, within: float = PATIENCE) -> None:
        """Wait until so many jobs have had an effect."""
        deadline = time.monotonic() + within
        while (seen := self.read()) < jobs:
            assert time.monotonic() < deadline, f"{seen} of {jobs} jobs have been done in {within:g} s"
            await asyncio.sleep(0.02)  # the log is written by other processes

    def check(self, jobs: int, *, killed: Sequence[int] = ()) -> None:
        """See that none of the jobs was lost, and that none was done twice but for a process that was killed."""
        self.read()
        assert set(self.done) == set(range(jobs))
        again = [each for seen in self.done.values() for each in sorted(seen, key=lambda done: done.attempts)[:-1]]
        assert [each for each in again if each.pid not in killed] == []
        twice = [seen for seen in self.done.values() if len({done.attempts for done in seen}) != len(seen)]
        assert twice == []  # every delivery counts its attempt


async def push_all(queue: Queue, jobs: int) -> None:
    for first in range(0, jobs, 1000):
        await dispatch_many(queue, [Effect(number) for number in range(first, min(jobs, first + 1000))])


def totals(url: str) -> dict[str, int]:
    """What the counters say was done, under all labels together."""
    fields = ("pushed", "processed", "failed", "retried")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        sums = ", ".join(f"sum({field})" for field in fields)
        row = connection.execute(sa.text(f"SELECT {sums} FROM lagoqueue_totals")).one()
    return {field: int(number or 0) for field, number in zip(fields, row, strict=True)}
