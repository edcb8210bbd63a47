"""Clocks that are wrong, or are set while jobs run: the application's, which should not matter, and the store's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from tests.faults.journal import Event, What
from tests.faults.scenario import POSTGRESQL, SERVERS, SQLITE, Load, Scenario
from tests.faults.stage import Stage
from tests.faults.wrong_clock import ZONE, WrongClock

HOUR = 3600.0
STEP = 600.0
"""Seconds by which the store's clock is set: less than the visibility timeout that users have by default."""

DEFAULT = 900.0

RETRIED = dict.fromkeys(range(0, 60, 6), ("raise", 1))
"""Jobs that are put back with a delay, which is not to be cut short."""


# --- The application's clock ----------------------------------------------------------------------


def two_hours_apart(stage: Stage) -> None:
    """Let workers be an hour behind, like those who push, and another one an hour ahead."""
    stage.clock.set(-HOUR)
    ahead = WrongClock(stage.folder / "ahead")
    ahead.set(HOUR)
    stage.start_worker(environment=ahead.environment)
    all_done(stage)
    assert {HOUR, -HOUR} <= {off_by(event) for event in stage.noted(What.BEGAN)}, "nobody was wrong"


def back_and_forth(stage: Stage) -> None:
    """Set the clock of all processes back by an hour, and forward again, while jobs run."""
    stage.until_done(0.3)
    stage.clock.set(-HOUR)
    stage.until_done(0.6)
    stage.clock.set(0)
    all_done(stage)
    assert {0.0, -HOUR} <= {off_by(event) for event in stage.noted(What.BEGAN)}, "it was not set back"


def all_done(stage: Stage) -> None:
    stage.until(stage.is_done, "not all was done")


def off_by(event: Event) -> float:
    """Return how wrong a process's clock was, in seconds, to the minute."""
    right = time.time() - time.monotonic()
    return round((event.clock - event.at - right) / 60) * 60.0


# --- The store's clock ----------------------------------------------------------------------------


def jump_ahead(stage: Stage) -> None:
    """Set the store's clock forward while jobs run."""
    stage.until_done(0.2)
    before = listed(stage)
    stage.clock.set(STEP)
    for _ in range(3):
        everybody_beats(stage)
    all_done(stage)
    assert listed(stage) == before, "a worker was taken for dead"


def set_back(stage: Stage) -> None:
    """Set the store's clock back while jobs run. What waits then waits for the clock; what comes then does not."""
    stage.until_done(0.2)
    before, pushed = listed(stage), jobs(stage, What.PUSHING)
    with stage.outage():
        stage.clock.set(-STEP)
        stage.until(lambda: len(jobs(stage, What.PROCESSED) - pushed) >= 20, "what was pushed later was not done")
        everybody_beats(stage)
        stage.clock.set(0)
    all_done(stage)
    assert listed(stage) == before, "a worker was taken for dead"


def die_behind(stage: Stage) -> None:
    """Set the store's clock back, and kill a worker, which had told that it lives at an instant that is yet to come."""
    stage.until_done(0.2)
    worker = stage.running[0]
    with stage.outage():
        stage.clock.set(-STEP)
        stage.kill(worker)
        stage.until(lambda: worker.pid not in listed(stage), "nobody noticed that it was dead")
        stage.clock.set(0)
    all_done(stage)


def listed(stage: Stage) -> dict[int, int]:
    """Return the processes of the workers that live, as the store sees it, with when each was entered."""
    return dict(stage.rows("SELECT pid, started_at FROM lagoqueue_workers"))


def everybody_beats(stage: Stage) -> None:
    def beats() -> dict[int, int]:
        return dict(stage.rows("SELECT pid, beaten_at FROM lagoqueue_workers"))

    before = beats()
    stage.until(lambda: all(at != before.get(pid) for pid, at in beats().items()), "somebody does not beat")


def jobs(stage: Stage, what: What) -> set[str]:
    return {event.job for event in stage.noted(what)}


# --- Time zones -----------------------------------------------------------------------------------


def local_time_changes(month: int) -> Callable[[Stage], None]:
    """Have the server's clock pass the moment at which its zone's local time is put forward, or back."""

    def fault(stage: Stage) -> None:
        instant = next_change(month)
        if stage.database == POSTGRESQL:  # MariaDB takes that of its machine
            stage.server.sql(f"ALTER DATABASE {sa.make_url(stage.url).database} SET timezone = '{ZONE}'")
        stage.clock.set_to(instant - timedelta(hours=1))
        for _ in range(2):
            stage.start_worker()
        stage.until_done(0.5)
        stage.until(lambda: not stage.live(), "not all was done")
        before = ahead_of_utc(stage)
        stage.clock.set_to(instant - timedelta(seconds=1))
        stage.start_producer()
        stage.until(lambda: ahead_of_utc(stage) != before, "local time was not changed")
        all_done(stage)

    return fault


def next_change(month: int) -> datetime:
    """Return when local time is changed in this month of next year."""
    begin = datetime(datetime.now(UTC).year + 1, month, 1, tzinfo=UTC)
    hours = [begin + timedelta(hours=number) for number in range(30 * 24)]
    offsets = [hour.astimezone(ZoneInfo(ZONE)).utcoffset() for hour in hours]
    return next(hours[number] for number in range(1, len(hours)) if offsets[number] != offsets[number - 1])


def zones_apart(stage: Stage) -> None:
    """Give each worker's sessions another time zone."""
    for hours in (-5, 13, 3):
        if stage.database == POSTGRESQL:
            name = sa.make_url(stage.url).database
            stage.server.sql(f"ALTER DATABASE {name} SET timezone = '<here>{-hours:+d}'")  # POSIX counts westwards
        else:
            stage.server.sql(f"SET GLOBAL time_zone = '{hours:+03d}:00'")
        assert ahead_of_utc(stage) == 60 * hours
        stage.start_worker()
    all_done(stage)


def ahead_of_utc(stage: Stage) -> int:
    """Return how many minutes the local time of a new session is ahead of UTC."""
    postgresql, mariadb = "EXTRACT(timezone FROM now()) / 60", "TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), NOW())"
    ((minutes,),) = stage.rows(f"SELECT {postgresql if stage.database == POSTGRESQL else mariadb}")
    return int(minutes)


STEADY = Load(jobs=80, rate=15, seconds=0.3, special=RETRIED, worker={"backoff": 1.0})
LONG = Load(jobs=100, rate=20, seconds=0.5, lease=DEFAULT, workers=3, worker={"concurrency": 8})

SCENARIOS = (
    Scenario(
        "clocks of processes are two hours apart", two_hours_apart, databases=SERVERS, load=STEADY, clock="application"
    ),
    Scenario(
        "processes that share a file do not agree on the time",
        two_hours_apart,
        databases=(SQLITE,),
        load=Load(jobs=60, rate=15, seconds=0.1, worker={"max_retry": 50}),
        clock="application",
        overlap=True,
        waiting=True,
    ),
    Scenario("the application's clock is set", back_and_forth, databases=SERVERS, load=STEADY, clock="application"),
    Scenario("the store's clock jumps ahead", jump_ahead, load=LONG, clock="store", own_server=True),
    Scenario("the store's clock is set back", set_back, load=LONG, clock="store", own_server=True, slow=True),
    Scenario(
        "a worker dies after the store's clock was set back",
        die_behind,
        load=LONG,
        clock="store",
        own_server=True,
        slow=True,
    ),
    *(
        Scenario(
            f"summer time {what} on the server",
            local_time_changes(month),
            databases=SERVERS,
            load=Load(
                jobs=60,
                rate=20,
                seconds=0.1,
                special=dict.fromkeys(range(60, 120, 6), ("raise", 1)),
                lease=2 * HOUR,
                workers=0,
                worker={"backoff": 1.0},
            ),
            clock="store",
            own_server=True,
            waiting=True,
            slow=True,
        )
        for what, month in (("begins", 3), ("ends", 11))
    ),
    Scenario(
        "sessions are in different time zones",
        zones_apart,
        databases=SERVERS,
        load=Load(jobs=80, rate=15, seconds=0.3, special=RETRIED, workers=0, worker={"backoff": 1.0}),
        own_server=True,
        waiting=True,
    ),
)
