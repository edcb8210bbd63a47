"""SIGKILL at random moments, over and over, while jobs are pushed and done; `--kills` says how often."""

from __future__ import annotations

from tests.faults.checker import Record, killed_with_jobs
from tests.faults.journal import What
from tests.faults.process_faults import Sleeper, put_to_sleep
from tests.faults.scenario import Load, Scenario
from tests.faults.stage import Process, Stage

PAUSE = 0.5
"""Seconds between two strokes, at most; new workers keep up with that."""


def kill_at_random(stage: Stage) -> None:
    """Kill a worker, now and then all of them or the producer, and start others in their place at once.

    The dead settle nothing. So one worker at a time is stopped until its jobs are another's, and then goes on to settle them.
    """
    sleeper: Sleeper | None = None
    while (left := stage.load.kills - stage.count(What.KILLED)) > 0:
        if sleeper is None:
            sleeper = put_to_sleep(stage, *stage.running)
        elif sleeper.is_robbed():
            sleeper.wake()
            sleeper = None
        victims = choose(stage, left, sleeper)
        stage.go_on_for(stage.random.uniform(0.0, PAUSE))
        for victim in victims:
            stage.kill(victim)
        for _ in range(stage.load.workers - len(awake(stage, sleeper))):
            stage.start_worker(wait=False)
        if not stage.producers[-1].alive:
            stage.start_producer()
    if sleeper is not None:
        stage.until(sleeper.is_robbed, "nobody has taken the sleeper's jobs over")
        sleeper.wake()
        stage.until(sleeper.was_told, "the sleeper has not been told what became of its jobs")
    hit = killed_with_jobs(Record(stage.events))
    assert hit >= stage.load.kills / 5, f"only {hit} of {stage.load.kills} processes had jobs when they were killed"


def choose(stage: Stage, left: int, sleeper: Sleeper | None) -> list[Process]:
    """One worker that has come so far as to have jobs, or all, or the producer."""
    workers = awake(stage, sleeper)
    chance = stage.random.randrange(12)
    if chance == 0 and len(workers) <= left:
        return workers
    if chance == 1:
        return stage.producers[-1:]
    stage.until(lambda: any(map(stage.has_claimed, workers)), "no worker has claimed anything")
    return [stage.random.choice([worker for worker in workers if stage.has_claimed(worker)])]


def awake(stage: Stage, sleeper: Sleeper | None) -> list[Process]:
    return [worker for worker in stage.running if sleeper is None or worker is not sleeper.worker]


SCENARIOS = (
    Scenario(
        "killed at random",
        kill_at_random,
        load=Load(jobs=1_000_000, meanwhile=True, rate=25, seconds=0.15, workers=3, worker={"max_retry": 50}, kills=20),
    ),
)
