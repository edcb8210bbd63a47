"""When a worker's keeper beats, with what, and what is said of beats that fail."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Sequence

import pytest

from lagoqueue import DriverError, Job, Keeper, MemoryQueue, Worker, WorkerInfo
from lagoqueue.keeping import KeeperThread


class Beats(Keeper):
    """Notes each beat; the first `failures` of them raise."""

    def __init__(self, failures: int = 0, interval: float = 0.001) -> None:
        self.interval = interval
        self.failures = failures
        self.beats: list[list[Job]] = []
        self.changed = threading.Condition()

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        return list(jobs)

    def beat(self, jobs: Sequence[Job]) -> list[Job]:
        with self.changed:
            self.beats.append(list(jobs))
            self.changed.notify_all()
            if len(self.beats) <= self.failures:
                raise DriverError("no route to host")
        return super().beat(jobs)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.beats) >= count, 10)


class Extends(Keeper):
    """What a driver without a beat of its own has."""

    interval = 60.0

    def __init__(self) -> None:
        self.extended: list[list[Job]] = []

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        self.extended.append(list(jobs))
        return list(jobs)


def start(keeper: Keeper, held: Sequence[Job] = (), lost: list[Job] | None = None) -> KeeperThread:
    report = (lambda job: None) if lost is None else lost.append
    return KeeperThread(keeper, lambda: held, report, logging.getLogger("test.keeper"))


JOB = Job("1", "Resize", b"{}")


def test_a_keeper_beats_at_once_with_nothing_held() -> None:
    keeper = Beats(interval=3600)
    thread = start(keeper)
    keeper.wait_for(1)
    thread.stop(10)
    assert keeper.beats == [[]]


def test_a_keeper_beats_again_after_each_interval_with_nothing_held() -> None:
    keeper = Beats()
    thread = start(keeper)
    keeper.wait_for(5)
    thread.stop(10)
    assert not any(keeper.beats)


def test_without_a_beat_of_its_own_a_keeper_extends_what_is_held_and_only_that() -> None:
    keeper = Extends()
    assert keeper.beat([]) == []
    assert keeper.extended == []
    assert keeper.beat([JOB]) == [JOB]
    assert keeper.extended == [[JOB]]


def test_beats_that_fail_are_repeated_and_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Beats(failures=30)
    lost: list[Job] = []
    thread = start(keeper, [JOB], lost)
    keeper.wait_for(32)
    thread.stop(10)
    assert lost[:1] == [JOB], "a beat after the failing ones did its work"
    (record,) = caplog.records
    assert record.getMessage() == (
        "the keeper's beat for 1 reservations failed; trying again: DriverError: no route to host"
    )


def test_beats_that_keep_failing_are_logged_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lagoqueue.keeping._LOG_EVERY", 0.0)
    keeper = Beats(failures=5)
    thread = start(keeper)
    keeper.wait_for(6)
    thread.stop(10)
    assert len(caplog.records) == 5


class Listed(MemoryQueue):
    """Notes who asks for a keeper."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.own_keeper = keeper
        self.asked: list[WorkerInfo | None] = []

    def keeper(self, info: WorkerInfo | None = None) -> Keeper:
        self.asked.append(info)
        return self.own_keeper


async def test_an_idle_worker_beats_and_its_keeper_knows_whose_it_is() -> None:
    keeper = Beats()
    queue = Listed(keeper)
    worker = Worker(queue.named("critical", "default"), concurrency=3)
    task = asyncio.create_task(worker.run())
    await asyncio.to_thread(keeper.wait_for, 3)
    worker.stop()
    await asyncio.wait_for(task, 10)
    name = f"{socket.gethostname()}:{os.getpid()}"
    assert queue.asked == [WorkerInfo(queues=("critical", "default"), concurrency=3, name=name)]
    assert not any(keeper.beats)


def test_a_keeper_that_cannot_be_closed_is_logged_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    class Unclosable(Beats):
        def close(self) -> None:
            raise DriverError("no route to host")

    keeper = Unclosable()
    thread = start(keeper)
    keeper.wait_for(1)
    thread.stop(10)
    assert "the keeper could not be closed: DriverError: no route to host" in caplog.text
