"""A scenario is data: a fault, the load that it meets, and the databases for which it means something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.faults.settings import Kind

if TYPE_CHECKING:
    from tests.faults.stage import Stage

SQLITE, POSTGRESQL, MARIADB = "sqlite", "postgresql", "mariadb"
SERVERS = (POSTGRESQL, MARIADB)
ALL = (SQLITE, *SERVERS)


@dataclass(frozen=True)
class Load:
    """What goes on while the fault is injected.

    Attributes:
        jobs: How many are pushed.
        meanwhile: Whether pushing ends with the fault, so that there is load for as long as it takes; `jobs` is the most then.
        rate: How many a second.
        pushers: How many are pushed at once.
        seconds: How long each handler takes.
        threads: Whether handlers are functions, which run in threads.
        mix: What jobs are like, in turn, where they differ.
        special: By number, what becomes of a handler (see `payloads`), and up to which attempt.
        workers: How many processes work.
        kills: How many processes are killed, where that is the fault.
        lease: Seconds of visibility timeout.
        poll: Seconds between two looks of an idle worker.
        names: The payload types that the workers have handlers for.
        queue: More arguments of each process's `SQLQueue`.
        worker: More arguments of each `Worker`; the backoff may be a list, of the arguments of `exponential`.
    """

    jobs: int = 60
    meanwhile: bool = False
    rate: float = 100.0
    pushers: int = 1
    seconds: float = 0.02
    threads: bool = False
    mix: tuple[Kind, ...] = ()
    special: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    workers: int = 2
    kills: int = 0
    lease: float = 3.0
    poll: float = 0.5
    names: tuple[str, ...] = ("Errand", "ThreadErrand")
    queue: Mapping[str, Any] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Attributes:
        name: As in the table of the page on reliability.
        fault: Called when the processes run; it breaks something, and puts it right again.
        databases: For which it means something.
        load: What goes on meanwhile.
        own_server: Whether it stops, or configures, the server.
        disk: Megabytes of the disk that the database has to itself; 0 leaves it where it is. Takes a server of its own.
        proxied: Whether workers and producers go through a proxy.
        clock: Whose clock it sets: the "application"'s, that is all processes', or the "store"'s, that is the server's, which
            it then has to itself, or in SQLite the processes'.
        counted: Whether the counters must agree at the end.
        overlap: Whether deliveries of one job may overlap although nobody was silent.
        waiting: Whether jobs may have to wait for a free worker.
        check: Called once nothing is left to be done: sees that what else was promised holds.
        failed: The jobs that must be failed in the end, by number.
        slow: Whether it is left to the long runs.
    """

    name: str
    fault: Callable[[Stage], None]
    databases: tuple[str, ...] = ALL
    load: Load = Load()
    own_server: bool = False
    disk: int = 0
    proxied: bool = False
    clock: Literal["", "application", "store"] = ""
    counted: bool = False
    overlap: bool = False
    waiting: bool = False
    check: Callable[[Stage], None] | None = None
    failed: tuple[int, ...] = ()
    slow: bool = False
