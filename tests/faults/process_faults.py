"""What befalls worker processes: killed, stopped, told to end, at any moment."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from typing import Any

import sqlalchemy as sa

from tests.faults.checker import SETTLED, Breach, Record
from tests.faults.journal import What
from tests.faults.scenario import SERVERS, SQLITE, Load, Scenario
from tests.faults.settings import Kind
from tests.faults.stage import ENDING, GRACE, Process, Stage

# --- Killed ---------------------------------------------------------------------------------------


def kill_some(stage: Stage) -> None:
    for _ in range(6):
        stage.go_on_for(stage.random.uniform(0.0, 0.3))
        stage.kill(stage.random.choice(stage.running))
        stage.start_worker()


def kill_all(stage: Stage) -> None:
    stage.until_done(0.3)
    with stage.outage():
        for worker in stage.running:
            stage.kill(worker)
        stage.start_worker()


def dies_at(failpoint: str, load: Load | None = None, failed: tuple[int, ...] = ()) -> Scenario:
    """A worker dies by its own hand at a failpoint, some times over."""

    def fault(stage: Stage) -> None:
        stage.stop(*stage.running)
        with stage.outage():  # one worker at a time, and none while one starts
            for _ in range(3):
                worker = stage.start_worker(failpoints=f"{failpoint}=kill@{stage.random.randint(1, 5)}", wait=False)
                stage.until(partial(is_dead, worker), f"{failpoint} was not reached")
                assert worker.popen.returncode == -signal.SIGKILL, worker.log
                stage.note_end(worker)
            stage.start_worker()

    return Scenario(
        f"killed {failpoint.replace('_', ' ')}",
        fault,
        load=load or Load(jobs=100, worker={"max_retry": 8}),
        failed=failed,
    )


def is_dead(worker: Process) -> bool:
    return not worker.alive


# --- Silent for longer than its lease, and back ---------------------------------------------------


class Sleeper:
    """A worker that is stopped in the middle of its jobs."""

    def __init__(self, stage: Stage, worker: Process) -> None:
        self.stage = stage
        self.worker = worker
        stage.silence(worker)
        self.since = time.monotonic()
        self.jobs = {job for job, pid in stage.in_hand.items() if pid == worker.pid}

    def keeps_the_file_locked(self) -> bool:
        """Whether it was stopped in the middle of a write to SQLite: nobody can write until it goes on, or is killed."""
        if self.stage.database != SQLITE:
            return False
        with closing(sqlite3.connect(str(sa.make_url(self.stage.url).database), timeout=1.0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.rollback()
            return False

    def is_robbed(self) -> bool:
        """Whether all its jobs are others' by now."""
        of = self.stage.in_hand
        return all(of.get(job) != self.worker.pid for job in self.jobs)

    def wake(self) -> None:
        self.stage.wake(self.worker)

    def was_told(self) -> bool:
        """Whether it knows what became of its jobs; the checker sees to it that this is that it has lost them."""
        return self.jobs <= settled(self.stage, self.worker, self.since)


def put_to_sleep(stage: Stage, *among: Process) -> Sleeper:
    """Stop one of the workers in the middle of its jobs."""
    for _ in range(100):
        stage.until(lambda: any(holds(stage, worker) for worker in among), "none of them has got jobs")
        busy = [worker for worker in among if holds(stage, worker)]
        sleeper = Sleeper(stage, stage.random.choice(busy or among))
        if sleeper.jobs and not sleeper.keeps_the_file_locked():
            return sleeper
        sleeper.wake()  # it has let go of its jobs in the moment between, or lets nobody else get on
    raise AssertionError("no worker could be stopped in the middle of its jobs")


def sleep_past_the_lease(stage: Stage, *among: Process) -> None:
    """Stop a worker that holds jobs, by default the first, let another have them, and let it go on."""
    sleeper = put_to_sleep(stage, *(among or stage.running[:1]))
    stage.until(sleeper.is_robbed, "nobody has taken its jobs over")
    sleeper.wake()
    stage.until(sleeper.was_told, "it has not been told what became of its jobs")


def holds(stage: Stage, worker: Process) -> int:
    return sum(pid == worker.pid for pid in stage.in_hand.values())


def settled(stage: Stage, worker: Process, since: float) -> set[str]:
    """The jobs of which a worker was told that they were settled as it wished, or lost."""
    return {event.job for event in stage.noted(*SETTLED, What.LOST, by=worker) if event.at > since}


# --- Told to end ----------------------------------------------------------------------------------


def end_while_busy(stage: Stage) -> None:
    stage.until_done(0.3)
    end_and_replace(stage)


def end_with_a_backlog(stage: Stage) -> None:
    """End while jobs run that outlast the grace, and others have been claimed to run next."""
    worker = stage.running[0]
    stage.until(
        lambda: holds(stage, worker) == 4 and len({event.job for event in stage.noted(What.CLAIMED, by=worker)}) > 4,
        "it has not got more than it runs",
    )
    end_and_replace(stage)


def end_and_replace(stage: Stage, **how: Any) -> None:
    """Stop a worker, see that it has let go of all that it had, and start another."""
    worker = stage.running[0]
    stage.stop(worker, **how)
    for several in Record(stage.events).deliveries.values():
        for delivery in several:
            if delivery.claimed.pid == worker.pid and delivery.settled is None:
                text = f"was still held by worker {worker.pid} when that had ended"
                stage.breaches.append(Breach("I8", delivery.claimed.job, text))
    stage.start_worker()


def end_and_insist(stage: Stage) -> None:
    """Two signals: the second does not wait for the grace period."""
    stage.until_done(0.1)
    stage.until(lambda: holds(stage, stage.running[0]) > 0, "it has nothing in hand")
    stage.running[0].popen.send_signal(signal.SIGTERM)
    stage.go_on_for(0.1)
    end_and_replace(stage, number=signal.SIGINT, within=GRACE + ENDING)


def drain_for_long(stage: Stage) -> None:
    """End while jobs run that take longer than the lease, and less than the grace period: they are waited for, and kept."""
    stage.until(lambda: len(stage.in_hand) == stage.load.jobs, "the handlers have not begun")
    worker = max(stage.running, key=lambda worker: holds(stage, worker))
    began = time.monotonic()
    stage.stop(worker, within=10.0)
    assert time.monotonic() - began > stage.load.lease, "it has not drained for longer than the lease"
    began_here = {event.job for event in stage.noted(What.BEGAN, by=worker)}
    released = [event for event in stage.noted(What.RELEASED) if event.job in began_here]
    assert not released, "what ran was given back"


# --- Many -----------------------------------------------------------------------------------------


def contend(stage: Stage) -> None:
    """Nobody has more than one job at a time, so that each is claimed by itself, and all want the same one."""
    stage.until_done(1.0)
    took_part = {event.pid for event in stage.noted(What.CLAIMED)}
    assert len(took_part) > stage.load.workers / 2, f"only {len(took_part)} have got a job"


SCENARIOS = (
    Scenario(
        "eight workers contend for single jobs",
        contend,
        databases=SERVERS,
        load=Load(jobs=300, rate=300, workers=8, seconds=0.005, worker={"concurrency": 1, "prefetch": 0}),
        counted=True,
    ),
    Scenario("killed in the handler", kill_some, load=Load(jobs=200, rate=60, seconds=0.05)),
    Scenario("all killed at once", kill_all, load=Load(seconds=0.05)),
    dies_at("after_claim"),
    dies_at("after_run"),
    dies_at("before_turn"),
    dies_at("after_settle"),
    dies_at(
        "inside_burial",
        Load(special=dict.fromkeys(range(60), ("raise", 1000)), worker={"max_retry": 1}),
        failed=tuple(range(60)),
    ),
    # When it wakes up, its keeper may find its jobs lost before their handlers end: those settle all the same.
    Scenario(
        "slept past the lease, then acks", sleep_past_the_lease, load=Load(jobs=20, mix=(Kind(0.3, stubborn=True),))
    ),
    Scenario(
        "slept past the lease, then nacks",
        sleep_past_the_lease,
        load=Load(jobs=20, mix=(Kind(0.3, do="raise", attempts=2, stubborn=True),), worker={"max_retry": 6}),
    ),
    Scenario("told to end while busy", end_while_busy, counted=True),
    Scenario(
        "told to end, jobs outlast the grace", end_with_a_backlog, load=Load(jobs=16, seconds=GRACE + 3), waiting=True
    ),
    Scenario(
        "told to end twice", end_and_insist, load=Load(jobs=16, seconds=8.0, worker={"grace": 20.0}), waiting=True
    ),
    Scenario(
        "drains for longer than the lease",
        drain_for_long,
        load=Load(jobs=8, seconds=4.0, lease=1.5, worker={"grace": 9.0, "concurrency": 8}),
        counted=True,
        waiting=True,
    ),
)
