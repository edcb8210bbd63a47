"""What befalls connections on their way to a server.

What a pooler in between does to them is in tests/sqlqueue/test_pgbouncer.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tests.faults.exact import each_runs
from tests.faults.journal import What
from tests.faults.quiet import quiet
from tests.faults.scenario import MARIADB, POSTGRESQL, SERVERS, Load, Scenario
from tests.faults.settings import Kind
from tests.faults.stage import GRACE, Stage

TIMEOUT = 1.0
"""Seconds after which a call gives its connection up, in the scenarios that last longer than that."""

LONG_LEASE = 20.0
"""For scenarios in which no reservation may have to expire: what they break is mended by who broke off."""

LINES_A_SECOND = 6.0


# --- The answer is lost: the connection is cut once the server has done what it was asked ---------


class Answer(NamedTuple):
    """An answer: what is sent last before it, and what it holds where it is not the next one."""

    sent: bytes
    holds: bytes = b""


def lose_answers(answer: dict[str, Answer], was_done: Callable[[Stage], bool]) -> Callable[[Stage], None]:
    """Cut connections, and look, while nobody can connect again, that the server has done what nobody knows of.

    Args:
        answer: The answer that is lost, by database.
        was_done: Tells whether something is done in the database without having been noted by who asked for it.
    """

    def fault(stage: Stage) -> None:
        hits = 0
        for _ in range(30):  # where a call is made in more than one way, some cuts come before its commit
            stage.go_on_for(stage.random.uniform(0.0, 0.2))
            sent, holds = answer[stage.database]
            cut = stage.proxy.cut_after(sent, answer=holds, refuse=True)
            stage.until(cut.is_set, "it was not sent")
            hits += was_done(stage)
            stage.proxy.restore()
            if hits == 3:
                return
        raise AssertionError(f"of 30 cuts {hits} came after the commit")

    return fault


def holds_twice(look: Callable[[], set[str]]) -> bool:
    """Tell whether there is something in what a look returns that is there a moment later as well: it was not just being noted."""
    first = look()
    time.sleep(0.1)
    return bool(first & look())


def unknown_pushes(stage: Stage) -> bool:
    """Are there jobs in the database, or out of it again, whose push has not returned?"""

    def look() -> set[str]:
        under_way = {event.job for event in stage.noted(What.PUSHING)} - {
            event.job for event in stage.noted(What.PUSHED)
        }
        return under_way & {*stage.live(), *(event.job for event in stage.noted(What.CLAIMED))}

    return holds_twice(look)


def unknown_claims(stage: Stage) -> bool:
    """Are there jobs reserved that no worker knows of?"""

    def look() -> set[str]:
        claimed = {event.receipt for event in stage.noted(What.CLAIMED)}
        return receipts(stage, "reserved_at IS NOT NULL") - claimed

    return holds_twice(look)


def unknown_acks(stage: Stage) -> bool:
    """Are there jobs gone of which their workers do not know that?"""

    def look() -> set[str]:
        ended = {event.job for event in stage.noted(What.ENDED) if not event.note}
        return ended - {event.job for event in stage.noted(What.PROCESSED)} - set(stage.live())

    return holds_twice(look)


def unknown_nacks(stage: Stage) -> bool:
    """Are there jobs put back of which their workers do not know that?"""

    def look() -> set[str]:
        return receipts(stage, "reserved_at IS NULL") - {event.receipt for event in stage.noted(What.RETRIED)}

    return holds_twice(look)


def unknown_failures(stage: Stage) -> bool:
    """Are there failed jobs of which their workers do not know that?"""

    def look() -> set[str]:
        return set(stage.failed()) - {event.job for event in stage.noted(What.FAILED)}

    return holds_twice(look)


def receipts(stage: Stage, where: str) -> set[str]:
    """The receipts under which rows are, or were last, reserved."""
    rows = stage.rows(f"SELECT seq, receipt FROM jobs WHERE receipt IS NOT NULL AND {where}")
    return {f"{seq}-{token.decode() if isinstance(token, bytes) else token}" for seq, token in rows}


LOST = Load(jobs=100_000, meanwhile=True, rate=60, seconds=0.03, lease=LONG_LEASE)
COMMITTED = b"COMMIT\0"
"""What PostgreSQL says of a commit, which is not sent as a text each time."""

LOST_ANSWERS = (
    Scenario(
        "the answer to a push is lost",
        # A claim and an ack send no names of jobs.
        lose_answers(dict.fromkeys(SERVERS, Answer(rb"job-\d+.{1,20}Errand")), unknown_pushes),
        load=LOST,
        check=each_runs(1),
    ),
    Scenario(
        "the answer to a claim is lost",
        lose_answers(
            {
                POSTGRESQL: Answer(rb'"p":0,"f":'),
                MARIADB: Answer(rb"SET reserved_at = TIMESTAMPDIFF.*COMMIT"),
            },
            unknown_claims,
        ),
        load=LOST,
        check=each_runs(1),
    ),
    Scenario(
        "the answer to an ack is lost",
        lose_answers({POSTGRESQL: Answer(rb'"i":"job-'), MARIADB: Answer(rb"DELETE `jobs`.*COMMIT")}, unknown_acks),
        load=LOST,
        check=each_runs(1),
    ),
    Scenario(
        "the answer to a nack is lost",
        lose_answers(
            {POSTGRESQL: Answer(rb'"d":\d+', COMMITTED), MARIADB: Answer(rb'\\"d\\":\d+.*COMMIT')}, unknown_nacks
        ),
        load=replace(LOST, mix=(Kind(LOST.seconds, do="raise", attempts=1),), worker={"backoff": 1.0}),
        check=each_runs(2),
    ),
    Scenario(
        "the answer to a failure is lost",
        lose_answers(
            {POSTGRESQL: Answer(rb"as told", COMMITTED), MARIADB: Answer(rb"as told.*COMMIT")}, unknown_failures
        ),
        load=replace(LOST, mix=(Kind(LOST.seconds, do="fail"),)),
        check=each_runs(1),
    ),
)


# --- Connections end, and stand still -------------------------------------------------------------


def reset_connections(stage: Stage) -> None:
    with quiet(stage, lines_a_second=LINES_A_SECOND):
        for _ in range(15):
            stage.go_on_for(stage.random.uniform(0.0, 0.2))
            stage.until(lambda: stage.proxy.connections > 0, "nobody has connected again")
            stage.proxy.reset()


def drop_connections(stage: Stage) -> None:
    """Have connections end in the middle of messages, of the first ones as well."""
    with stage.outage(), quiet(stage, lines_a_second=LINES_A_SECOND):
        for _ in range(8):
            stage.proxy.drop_after(int(10 ** stage.random.uniform(1.5, 4.5)))
            dropped = stage.proxy.dropped
            stage.until(lambda dropped=dropped: stage.proxy.dropped > dropped, "nothing was dropped")  # type: ignore[misc]
            stage.go_on_for(stage.random.uniform(0.0, 0.3))
            stage.proxy.restore()
            stage.go_on_for(stage.random.uniform(0.0, 0.3))


def slow_down(stage: Stage) -> None:
    least = 0.02
    for _ in range(6):
        stage.proxy.latency(stage.random.uniform(least, 4 * least))
        stage.go_on_for(0.4)
    stage.proxy.restore()
    assert longest_push(stage) > 2 * least, "nothing took longer"


def stand_still(stage: Stage) -> None:
    """Let nothing through for less than calls wait: they take longer, and none fails."""
    least = 0.5
    for _ in range(3):
        stage.proxy.pause()
        stage.until(lambda: push_under_way(stage), "nobody waits")
        stage.go_on_for(stage.random.uniform(least, 2 * least))
        stage.proxy.resume()
        stage.go_on_for(0.2)
    assert longest_push(stage) > least
    logs = [process.log for process in [*stage.workers, *stage.producers]]
    assert not any(logs), f"something was logged: {logs}"


def push_under_way(stage: Stage) -> bool:
    return stage.count(What.PUSHING) > stage.count(What.PUSHED)


def longest_push(stage: Stage) -> float:
    """Seconds that a push has taken."""
    began = {event.job: event.at for event in stage.noted(What.PUSHING)}
    return max(event.at - began[event.job] for event in stage.noted(What.PUSHED))


def stand_still_for_long(stage: Stage) -> None:
    """Let nothing through until all calls have given up. What they had sent arrives when nobody waits for it any more."""
    last_for_long(stage, stage.proxy.pause)


def last_for_long(stage: Stage, switch: Callable[[], None]) -> None:
    """Switch the proxy, and back some time after everybody has noticed."""
    with stage.outage(), quiet(stage, lines_a_second=LINES_A_SECOND):
        switch()
        stage.until(lambda: all_complain(stage), "not everybody has noticed")
        stage.go_on_for(stage.random.uniform(0.0, 2.0))
        stage.proxy.restore()


def all_complain(stage: Stage) -> bool:
    return all("failed" in worker.log for worker in stage.running)


def fall_silent(stage: Stage) -> None:
    """Keep connections open, and let nothing through on them ever again."""
    last_for_long(stage, stage.proxy.half_open)


def end_while_silent(stage: Stage) -> None:
    with stage.outage(), quiet(stage, lines_a_second=LINES_A_SECOND):
        stage.proxy.half_open()
        stage.go_on_for(stage.random.uniform(0.0, 3.0))
        stage.stop(*stage.running, within=GRACE + UNREACHED)
        stage.proxy.restore()
        stage.start_worker()


UNREACHED = 8.0
"""Seconds that a worker may take beyond its grace when nobody answers: a second for the claim, the handlers, the
settlements and the keeper each, and four for what its connections wait for."""

STEADY = Load(jobs=100_000, meanwhile=True, rate=60)
SHORT = replace(STEADY, queue={"timeout": TIMEOUT})

SCENARIOS = tuple(
    replace(scenario, databases=SERVERS, proxied=True)
    for scenario in (
        *LOST_ANSWERS,
        Scenario("connections are reset", reset_connections, load=STEADY),
        Scenario("connections are dropped in the middle of messages", drop_connections, load=STEADY),
        Scenario("the network is slow", slow_down, load=STEADY, counted=True),
        Scenario("the network stands still", stand_still, load=STEADY, counted=True),
        Scenario("the network stands still for longer than the timeout", stand_still_for_long, load=SHORT),
        Scenario("connections fall silent", fall_silent, load=SHORT),
        Scenario("told to end while connections are silent", end_while_silent, load=SHORT),
    )
)
