"""What befalls a soak, again and again: each fault is over when its function returns, and has been seen to hit.

The first worker and the producer are never killed or stopped, so that their memory can be watched; nothing else spares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.journal import What
from tests.faults.process_faults import sleep_past_the_lease
from tests.faults.scenario import ALL, POSTGRESQL, SERVERS, SQLITE
from tests.faults.stage import Process, Stage
from tests.faults.storage_faults import locked

TIMEOUT = 1.5
"""The queues' `timeout`: seconds after which a server that does not answer is given up."""


@dataclass(frozen=True)
class Fault:
    """One of them, and where it means something."""

    name: str
    hit: Callable[[Stage], None]
    databases: tuple[str, ...] = ALL


# --- Workers --------------------------------------------------------------------------------------


def mortals(stage: Stage) -> list[Process]:
    """The workers that faults may hit, once they have started."""
    living = [worker for worker in stage.running if worker is not stage.workers[0]]
    stage.until_started(*living)
    return living


def kill(stage: Stage, *victims: Process) -> None:
    for victim in victims:
        stage.kill(victim)
    for _ in victims:
        stage.start_worker(wait=False)


def kill_one(stage: Stage) -> None:
    kill(stage, stage.random.choice(mortals(stage)))


def kill_all(stage: Stage) -> None:
    kill(stage, *mortals(stage))


def stop_past_the_lease(stage: Stage) -> None:
    sleep_past_the_lease(stage, *mortals(stage))


def tell_to_end(stage: Stage) -> None:
    victim = stage.random.choice(mortals(stage))
    stage.start_worker(wait=False)
    stage.stop(victim)


# --- Connections ----------------------------------------------------------------------------------


@contextmanager
def cut_off(stage: Stage) -> Iterator[None]:
    """Note that nobody gets through: neither can anything go on, nor can anybody beat until they are connected again."""
    workers = stage.running
    for worker in workers:
        stage.journal.note(What.SILENCED, pid=worker.pid)
    with stage.outage():
        yield
    stage.go_on_for(TIMEOUT + stage.load.lease / 3)
    for worker in workers:
        stage.journal.note(What.WOKEN, pid=worker.pid)


def end_sessions(stage: Stage) -> None:
    """Have the server end all sessions of the database, some times over."""
    ended = 0
    for _ in range(5):
        ended += stage.server.end_sessions(stage.url)
        stage.go_on_for(0.2)
    assert ended >= 5, f"only {ended} sessions were there to end"


def reset(stage: Stage) -> None:
    assert stage.proxy.connections > 0, "there was nothing to reset"
    stage.proxy.reset()


def half_open(stage: Stage) -> None:
    """Swallow all that is sent, for longer than anybody waits for an answer."""
    with cut_off(stage):
        stage.proxy.half_open()
        stage.go_on_for(TIMEOUT + 1)
        stage.proxy.restore()


def pause(stage: Stage) -> None:
    """Hold all traffic up, for less than anybody waits."""
    with cut_off(stage):
        stage.proxy.pause()
        stage.go_on_for(TIMEOUT / 2)
        stage.proxy.resume()


def delay(stage: Stage) -> None:
    stage.proxy.latency(0.05)
    stage.go_on_for(3.0)
    stage.proxy.latency(0.0)


def cut_after_commit(stage: Stage) -> None:
    """Lose the answers to what the server has committed: to a push, and to what is done with its job next, say."""
    for _ in range(3):
        number = stage.count(What.PUSHING) + 50  # some pushes ahead
        marker = f"job-{number}".encode() if stage.database == POSTGRESQL else b"COMMIT"
        for _ in range(2):
            cut = stage.proxy.cut_after(marker)
            stage.until(cut.is_set, "nobody sent what was waited for")


# --- The store ------------------------------------------------------------------------------------


def crash(stage: Stage) -> None:
    """Kill the server and start it again."""
    with cut_off(stage):
        stage.server.crash()


def lock(stage: Stage) -> None:
    """Keep the file's lock for longer than anybody waits for it."""
    with cut_off(stage), locked(stage):
        stage.go_on_for(TIMEOUT + 1)


FAULTS = (
    Fault("a worker is killed", kill_one),
    Fault("all workers but one are killed", kill_all),
    Fault("a worker is stopped past its leases", stop_past_the_lease),
    Fault("a worker is told to end", tell_to_end),
    Fault("all sessions are ended", end_sessions, SERVERS),
    Fault("all connections are reset", reset, SERVERS),
    Fault("connections are half open", half_open, SERVERS),
    Fault("all traffic pauses", pause, SERVERS),
    Fault("all traffic is delayed", delay, SERVERS),
    Fault("answers to what was committed are lost", cut_after_commit, SERVERS),
    Fault("the server crashes", crash, SERVERS),
    Fault("another process keeps the file locked", lock, (SQLITE,)),
)
