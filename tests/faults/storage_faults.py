"""What befalls the place where the jobs are: others lock the file, the disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import sqlalchemy as sa

from lagoqueue import DriverError
from tests.faults.journal import What
from tests.faults.scenario import MARIADB, POSTGRESQL, SQLITE, Load, Scenario
from tests.faults.stage import Stage

BUSY = 0.5
"""Seconds that a process waits for the lock of a file."""


# --- SQLite's one lock ----------------------------------------------------------------------------


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Keep the file locked against writers, as another process may."""
    path = sa.make_url(stage.url).database
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def hold_the_lock(stage: Stage) -> None:
    """Keep the file locked until everybody has waited in vain."""
    stage.until_done(0.2)
    with stage.outage(), locked(stage):
        saw_it(stage, "locked by another process")
    names = {event.note for event in stage.noted(What.CONFLICT)}
    assert names == {"SQLITE_BUSY"}, names


def saw_it(stage: Stage, text: str) -> None:
    """Wait until a push was refused, and each worker has complained, for a reason with this text in it."""
    stage.until(lambda: any(text in note for note in refusals(stage)), f"no push was refused as {text!r}")
    for worker in stage.running:
        stage.until(lambda worker=worker: text in worker.log, f"worker {worker.pid} did not meet {text!r}")  # type: ignore[misc]


def refusals(stage: Stage) -> list[str]:
    return [event.note for event in stage.noted(What.REFUSED)]


def crowd(stage: Stage) -> None:
    """Let more processes than the machine has processors read and write one file as fast as they can."""
    stage.until(lambda: stage.count(What.STARTED) == 9, "the workers and the producer have not started")
    for _ in range(2):
        stage.start_producer(150)
    stage.until(stage.is_done, "not all was done")
    ran = {event.pid for event in stage.noted(What.BEGAN)}
    assert ran == {worker.pid for worker in stage.workers}, "some process had no part in it"
    conflicts = [event.note for event in stage.noted(What.CONFLICT)]
    assert conflicts == [], "a transaction met another one"
    logs = [process.log for process in [*stage.workers, *stage.producers]]
    assert logs == [""] * len(logs)
    for worker in stage.running:
        stage.stop(worker)  # one after another, since all at once would take two processors long


# --- The disk -------------------------------------------------------------------------------------

MEGABYTES = 20
FULL = {SQLITE: "no space is left", POSTGRESQL: "has run out of a resource", MARIADB: "has run out of a resource"}


def fill_the_disk(stage: Stage) -> None:
    """Let the disk be full until pushes are refused, and then make room: what was refused can be pushed again."""
    stage.until_done(0.2)
    with stage.outage():
        stage.disk.fill()
        refused = push_until_refused(stage, FULL[stage.database])
        if stage.database == SQLITE:  # a server finds room for claims and acks where pushes have none
            saw_it(stage, FULL[SQLITE])
        stage.disk.free()
    stage.push(refused, FAT)


FAT = b'{"number": 0, "padding": "%s"}' % (b"x" * 6_000)
"""A payload with a field that its handler does not know, so that they fill what the database had set aside.

It fits into InnoDB's page: MariaDB 10.11 aborts when it finds no room for a longer one.
"""


def push_until_refused(stage: Stage, text: str) -> int:
    """Push jobs until one is refused; return its number."""
    for number in range(stage.load.jobs, stage.load.jobs + 2000):
        try:
            stage.push(number, FAT)
        except DriverError as error:
            refusal = str(error)
            break
    else:
        raise AssertionError("all that was pushed found room on a full disk")
    assert text in refusal
    return number


SCENARIOS = (
    Scenario(
        "another process keeps the file locked",
        hold_the_lock,
        databases=(SQLITE,),
        load=Load(jobs=100, rate=40, lease=6.0, queue={"busy_timeout": BUSY}),
        counted=True,
    ),
    Scenario(
        "eight processes work on one file",
        crowd,
        databases=(SQLITE,),
        load=Load(jobs=100, rate=400, seconds=0.005, workers=8),
        counted=True,
        waiting=True,
    ),
    Scenario("the disk is full", fill_the_disk, load=Load(jobs=300, rate=60), own_server=True, disk=MEGABYTES),
)
