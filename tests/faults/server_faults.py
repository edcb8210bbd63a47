"""What a server does to those who are connected to it, or would like to be.

That it is read-only for a while, and that it ends the listening session alone, is in tests/sqlqueue.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import psycopg
import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa

import servers
from tests.faults.journal import What
from tests.faults.quiet import quiet
from tests.faults.scenario import MARIADB, POSTGRESQL, SERVERS, Load, Scenario
from tests.faults.stage import Stage

STEADY = Load(jobs=20_000, meanwhile=True, lease=20.0, queue={"timeout": 2.0})

LINES_A_SECOND = 10.0

REFUSED = (psycopg.OperationalError, pymysql.err.OperationalError)


def connect(stage: Stage) -> Any:
    """Connect to the database as the drivers do; return the connection."""
    url = sa.make_url(stage.url)
    if stage.database == POSTGRESQL:
        return psycopg.connect(url.set(drivername="postgresql").render_as_string(False), autocommit=True)
    assert url.port is not None
    return pymysql.connect(  # a context for TLS would take 40 ms of each
        host=url.host, port=url.port, user=url.username, database=url.database, ssl_disabled=True, autocommit=True
    )


# --- Sessions -------------------------------------------------------------------------------------


def end_sessions(stage: Stage) -> None:
    """End all of them, a dozen times in a row, whatever they are doing."""
    ended = 0
    with quiet(stage, lines_a_second=LINES_A_SECOND):
        for _ in range(12):
            stage.until_more(5)
            ended += stage.server.end_sessions(stage.url)
    assert ended > 12 * stage.load.workers, f"only {ended} sessions were there to be ended"


def leave_no_connections(stage: Stage) -> None:
    """End the sessions, and take all connections that the server has: nobody can come back for a while."""
    restrict(stage)
    stage.until_more()
    with stage.outage(), taken(stage):
        stage.until(lambda: all("too many" in each.log.lower() for each in stage.running), "nobody minded")
        stage.go_on_for(2.0)
    stage.until_more()


def restrict(stage: Stage) -> None:
    """Let the server have few connections."""
    if isinstance(stage.server, servers.PostgreSQL):
        with stage.outage():
            stage.server.sql("ALTER SYSTEM SET max_connections = 20")
            stage.server.restart()
    else:
        stage.server.sql("SET GLOBAL max_connections = 20")


@contextmanager
def taken(stage: Stage) -> Iterator[None]:
    """Hold every connection that the server has."""
    with ExitStack() as stack:
        held: list[Any] = []
        for _ in range(200):
            with suppress(*REFUSED):
                for _ in range(100):
                    held.append(stack.enter_context(closing(connect(stage))))
            if not end_others(stage, held):
                break
        else:
            raise AssertionError("others are quicker, each time")
        yield


def end_others(stage: Stage, held: list[Any]) -> int:
    """End the sessions that are not held here; return how many there were."""
    cursor = held[0].cursor()
    if stage.database == POSTGRESQL:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        others = {pid for (pid,) in cursor.fetchall()} - {each.info.backend_pid for each in held}
        for pid in others:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    else:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE command <> 'Daemon'")
        others = {number for (number,) in cursor.fetchall()} - {each.thread_id() for each in held}
        for number in others:
            with suppress(pymysql.err.OperationalError):  # it has ended by itself
                cursor.execute(f"KILL {number}")
    return len(others)


# --- The server is away ---------------------------------------------------------------------------


def crash(stage: Stage) -> None:
    for _ in range(2):
        stage.until_more()
        with stage.outage(), quiet(stage, lines_a_second=LINES_A_SECOND):
            stage.server.crash()
    stage.until_more()


def start_without_a_server(stage: Stage) -> None:
    """Start a worker while the server is down: it waits, says so now and then, and works as soon as there is one."""
    stage.stop(*stage.running)
    with stage.outage():
        stage.server.stop()
        worker = stage.start_worker()
        with quiet(stage, lines_a_second=LINES_A_SECOND):
            stage.until(lambda: "could not be reached" in worker.log, "it did not say that it has no server")
            stage.go_on_for(2.0)
        assert worker.alive, worker.log
        stage.server.start()
    stage.until_more()


# --- Old transactions -----------------------------------------------------------------------------

KEPT = {
    POSTGRESQL: "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'jobs'",
    MARIADB: "SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'",
}
"""How much of what is dead is still there, because somebody might see it."""


def hold_a_snapshot(stage: Stage) -> None:
    """Keep a transaction open, in the sight of which all that the queue has done is yet to come."""
    with closing(connect(stage)) as old:
        cursor = old.cursor()
        if stage.database == POSTGRESQL:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        else:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SELECT count(*) FROM jobs")
        stage.until_more(1500)
        if stage.database == POSTGRESQL:
            stage.server.sql("VACUUM jobs", sa.make_url(stage.url).database)
        ((kept,),) = stage.rows(KEPT[stage.database])
        assert kept > 1000, f"only {kept} old versions were kept"
        claims = stage.count(What.CLAIMED)
        stage.until_more(300)
        assert stage.count(What.CLAIMED) > claims


# --- Isolation ------------------------------------------------------------------------------------


def serialize(stage: Stage) -> None:
    """Let the database have all transactions serializable by default, so that many claims and settlements are refused."""
    name = sa.make_url(stage.url).database
    stage.server.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    stage.server.end_sessions(stage.url)
    stage.until_more()
    before = rolled_back(stage)
    stage.until_more(300)
    assert rolled_back(stage) > before, "no transaction was refused"


def rolled_back(stage: Stage) -> int:
    ((count,),) = stage.rows("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    return int(count)


SCENARIOS = (
    Scenario("sessions are ended all the time", end_sessions, SERVERS, STEADY),
    Scenario("no connections are left", leave_no_connections, SERVERS, STEADY, own_server=True),
    Scenario("the server crashes", crash, SERVERS, STEADY, own_server=True),
    Scenario("the server is down when a worker starts", start_without_a_server, SERVERS, STEADY, own_server=True),
    Scenario(
        "an old transaction is open",
        hold_a_snapshot,
        SERVERS,
        Load(jobs=20_000, meanwhile=True, rate=500, pushers=4, seconds=0.0),
        counted=True,
    ),
    Scenario(
        "transactions are serializable",
        serialize,
        (POSTGRESQL,),
        Load(jobs=20_000, meanwhile=True, rate=200, pushers=2, seconds=0.0, workers=4, worker={"concurrency": 2}),
    ),
)
