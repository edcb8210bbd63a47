"""What is in the jobs and the tables: odd payloads, names that a worker does not know, tables of another version, failures in bulk."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from lagoqueue import DriverError
from tests.faults.journal import What
from tests.faults.scenario import MARIADB, Load, Scenario
from tests.faults.stage import Stage

# --- Payloads -------------------------------------------------------------------------------------

ODD = {
    100: b"",
    101: b"\x00",
    102: b"\xff\xfe not UTF-8",
    103: b'{"number": "\\ud800"}',
    104: b'{"number": NaN}',
    105: b'{"number": 105, "do": ' + b"[" * 100_000,
    106: b"[" * 10_000 + b"]" * 10_000,
    107: b'{"number": 1e400}',
}
"""By number, payloads that no handler can be given."""

LARGE = {110: 1_000_000, 111: 7_000_000}
"""By number, the bytes of payloads that a handler can be given."""

HUGE, HUGE_SIZE = 112, 64_000_000
"""The same of one that is more than MariaDB takes at once, unless it is told to."""


def push_odd_payloads(stage: Stage) -> None:
    """Push what does not decode, and what is very large, among other jobs."""
    for number, payload in ODD.items():
        stage.push(number, payload)
    for number, size in LARGE.items():
        stage.push(number, large(number, size))
    if stage.database == MARIADB:
        with pytest.raises(DriverError, match="max_allowed_packet"):
            stage.push(HUGE, large(HUGE, HUGE_SIZE))
    else:
        stage.push(HUGE, large(HUGE, HUGE_SIZE))


def large(number: int, size: int) -> bytes:
    """Return a payload with a field that its handler does not know."""
    return b'{"number": %d, "padding": "%s"}' % (number, b"x" * size)


# --- Versions -------------------------------------------------------------------------------------


def roll_out(stage: Stage) -> None:
    """Let old workers meet jobs of a type that only the new one has a handler for, and replace them."""
    stage.until(lambda: stage.count(What.RELEASED) >= stage.load.jobs, "the old workers have not met all jobs")
    assert stage.count(What.BEGAN) == 0
    old = stage.running
    stage.start_worker(names=("ThreadErrand",))
    stage.stop(old[0])
    stage.until(lambda: stage.count(What.PROCESSED) >= 5, "beside an old worker the new one gets no job")
    stage.stop(old[1])
    stage.until(lambda: not stage.live(), "the new worker has not done all jobs")
    attempts = {event.attempts for event in stage.noted(What.PROCESSED)}
    assert attempts == {1}, "a worker that did not know the job spent an attempt"


NEWER = 99


def migrate_under_it(stage: Stage) -> None:
    """Give the tables a newer version under workers, and their old one again: until then they refuse, and do not end."""
    stage.until_done(0.2)
    (version,) = {version for (version,) in stage.rows("SELECT version FROM lagoqueue_schema")}
    with stage.outage():
        change_version(stage, NEWER)
        for worker in stage.running:
            stage.stop(worker)
        began = stage.count(What.BEGAN)
        worker = stage.start_worker()
        stage.until(lambda: "upgrade lagoqueue-sql" in worker.log, "the worker did not say that it is too old")
        assert stage.count(What.BEGAN) == began, "it worked on tables that it does not know"
        change_version(stage, version)
    stage.until(lambda: not stage.live(), "the worker did not go on")


def change_version(stage: Stage, version: int) -> None:
    with stage.engine.begin() as connection:
        connection.execute(sa.text("UPDATE lagoqueue_schema SET version = :version"), {"version": version})


# --- Failures in bulk -----------------------------------------------------------------------------

BULK = 500
BASE, JITTER = 4.0, 0.5


def fail_at_once(stage: Stage) -> None:
    """Let hundreds of jobs fail within moments: they are not to come back as they failed, all in the same moment."""
    stage.until(lambda: stage.count(What.RETRIED) >= BULK, "not all have failed")
    delays = [float(event.note) for event in stage.noted(What.RETRIED)]
    assert all(BASE <= delay <= BASE * (1 + JITTER) for delay in delays)
    tenths = Counter(int(10 * (delay - BASE) / (BASE * JITTER)) for delay in delays)
    assert len(tenths) >= 10, f"by tenths of the time in which they may come back: {tenths}"
    assert max(tenths.values()) < BULK / 5, f"by tenths of the time in which they may come back: {tenths}"
    stage.until(lambda: not stage.live(), "not all have come back")


SCENARIOS = (
    Scenario(
        "odd and very large payloads",
        push_odd_payloads,
        load=Load(jobs=40),
        failed=tuple(ODD),
        counted=True,
        waiting=True,
    ),
    Scenario(
        "a roll-out: jobs that old workers do not know",
        roll_out,
        load=Load(jobs=20, threads=True, names=("Errand",)),
        counted=True,
        waiting=True,
    ),
    Scenario("tables of a newer version", migrate_under_it, load=Load(jobs=100, rate=40), counted=True),
    Scenario(
        "five hundred jobs fail at once",
        fail_at_once,
        load=Load(
            jobs=BULK,
            rate=1000,
            seconds=0.0,
            special=dict.fromkeys(range(BULK), ("raise", 1)),
            worker={"concurrency": 50, "prefetch": 50, "backoff": [BASE, 60.0, JITTER]},
        ),
        counted=True,
        waiting=True,
    ),
)
