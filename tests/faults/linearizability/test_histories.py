"""Players that get into each other's way on a few jobs: what they were told is what one queue could have said.

A failure shows the history of one job. Its seed makes every player choose the same again, though who is first is up to
the machine: `pytest 'tests/faults/linearizability/test_histories.py::test_processes[postgresql-3]'`, with the name of
the test that failed, does it once more.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lagoqueue import Job, MemoryQueue
from lagoqueue.queue import Settlement
from tests.faults.linearizability.check import check
from tests.faults.linearizability.history import Operation
from tests.faults.linearizability.playing import PLAYERS, PROGRAM, VISIBILITY_TIMEOUT, play, play_in_threads
from tests.faults.linearizability.program import Game
from tests.sqlqueue.processes import Process, Processes, each_database

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

database_url = each_database("sqlite", "postgresql", "mariadb")
server_url = each_database("postgresql", "mariadb")

seeds = pytest.mark.parametrize("seed", [1, 2, *(pytest.param(each, marks=pytest.mark.slow) for each in (3, 4))])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Processes(tmp_path_factory.mktemp("program"), PROGRAM) as processes:
        yield processes.start("play", "")[0]


@seeds
async def test_processes(program: Process, database_url: str, seed: int, tmp_path: Path) -> None:
    operations = await play(program, game(database_url, tmp_path, seed, 100))
    judge(operations, seed)
    assert not any(each.outcome == "unknown" for each in operations)


@seeds
async def test_processes_whose_connections_break(program: Process, server_url: str, seed: int, tmp_path: Path) -> None:
    operations = await play(program, game(server_url, tmp_path, seed, 80, broken=True))
    judge(operations, seed)
    assert any(each.outcome == "unknown" for each in operations)
    assert any(each.outcome == "done" and each.disturbed for each in operations)


@seeds
async def test_processes_of_which_one_is_killed(program: Process, database_url: str, seed: int, tmp_path: Path) -> None:
    judge(await play(program, game(database_url, tmp_path, seed, 50, dies=True)), seed)


@seeds
@pytest.mark.usefixtures("eager_threads")
async def test_threads_on_a_memory_queue(seed: int, tmp_path: Path) -> None:
    judge(await play_in_threads(MemoryQueue(visibility_timeout=VISIBILITY_TIMEOUT), tmp_path, seed, 200), seed)


@pytest.mark.usefixtures("eager_threads")
async def test_a_queue_that_refuses_no_receipt_is_found_out(tmp_path: Path) -> None:
    operations = await play_in_threads(RefusesNothing(visibility_timeout=VISIBILITY_TIMEOUT), tmp_path, 1, 200)
    assert "is not linearizable" in check(operations, VISIBILITY_TIMEOUT)


class RefusesNothing(MemoryQueue):
    """Says of every reservation that it held until now."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Job]:
        await super().settle(settlements)
        return []


def game(url: str, folder: Path, seed: int, operations: int, **more: bool) -> Game:
    return Game(url, str(folder), seed, PLAYERS, operations, VISIBILITY_TIMEOUT, **more)


def judge(operations: Sequence[Operation], seed: int) -> None:
    """See that a history is linearizable, and that it is one in which players met."""
    counts = Counter((each.action, each.outcome) for each in operations)
    print(f"seed {seed}: {len(operations)} operations", *sorted(counts.items()), sep="\n")
    if wrong := check(operations, VISIBILITY_TIMEOUT):
        pytest.fail(f"with seed {seed}, {wrong}", pytrace=False)
    for action in ("push", "ack", "extend"):
        assert counts[action, "done"], f"no {action} was done"
        assert counts[action, "refused"], f"no {action} was refused"
    assert counts["pop", "drained"] == 1
