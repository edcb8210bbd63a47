"""SIGKILL at random moments, over and over, while jobs are pushed and done; `--kills` says how often."""

from __future__ import annotations

import time

from tests.faults.checker import Record, killed_with_jobs
from tests.faults.journal import What
from tests.faults.process_faults import holds, in_hand, sleep_past_the_lease
from tests.faults.scenario import ENDLESS, Load, Scenario
from tests.faults.stage import Process, Stage

PAUSE = 0.5
"""Seconds between two strokes, at most; new workers keep up with that."""


def kill_at_random(stage: Stage) -> None:
    """Kill a worker, now and then all of them or the producer, and start others in their place at once.

    The dead settle nothing. So one worker at a time is stopped until its jobs are another's, and then goes on to settle them.
    """
    sleeper: Sleeper | None = None
    while (left := stage.load.kills - stage.count(What.KILLED)) > 0:
        stage.go_on_for(stage.random.uniform(0.0, PAUSE))
        if sleeper is None:
            sleeper = put_to_sleep(stage)
        elif sleeper.is_over():
            sleeper.wake()
            sleeper = None
        awake = [worker for worker in stage.running if sleeper is None or worker is not sleeper.worker]
        stage.until(lambda: any(map(stage.has_started, awake)), "no worker has started")  # noqa: B023 - called at once
        chance = stage.random.randrange(12)
        if chance == 0 and len(awake) <= left:
            victims = awake
        elif chance == 1:
            victims = [producer for producer in stage.producers if producer.alive]
        else:
            victims = [stage.random.choice([worker for worker in awake if stage.has_started(worker)])]
        for victim in victims:
            stage.kill(victim)
        for victim in victims:
            replace(stage, victim)
    if sleeper is not None:
        stage.until(sleeper.is_over, "its jobs are nobody else's")
        sleeper.wake()
    if not stage.count(What.LOST):
        sleep_past_the_lease(stage)
    hit = killed_with_jobs(Record(stage.events))
    assert hit >= stage.load.kills / 5, f"only {hit} of {stage.load.kills} processes had jobs when they were killed"


def replace(stage: Stage, process: Process) -> None:
    if process in stage.workers:
        stage.start_worker(wait=False)
    else:
        stage.start_producer()


def put_to_sleep(stage: Stage) -> Sleeper | None:
    """Stop a worker that has jobs in hand, if there is one, and have another in its place."""
    busy = [worker for worker in stage.running if holds(stage, worker)]
    if not busy:
        return None
    sleeper = Sleeper(stage, stage.random.choice(busy))
    stage.start_worker(wait=False)
    return sleeper


class Sleeper:
    """A worker that is stopped in the middle of its jobs."""

    def __init__(self, stage: Stage, worker: Process) -> None:
        self.stage = stage
        self.worker = worker
        stage.silence(worker)
        self.jobs = {job for job, pid in in_hand(stage).items() if pid == worker.pid}
        self.until = time.monotonic() + stage.rules.longest

    def is_over(self) -> bool:
        """Whether its jobs are all another's, or should be by now."""
        of = in_hand(self.stage)
        return all(of.get(job) != self.worker.pid for job in self.jobs) or time.monotonic() > self.until

    def wake(self) -> None:
        self.stage.wake(self.worker)


SCENARIOS = (
    Scenario(
        "killed at random",
        kill_at_random,
        load=Load(jobs=ENDLESS, rate=50, seconds=0.1, workers=3, worker={"max_retry": 50}, kills=20),
    ),
)
