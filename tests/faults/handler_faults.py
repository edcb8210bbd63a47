"""What handlers do to the process that they run in."""

from __future__ import annotations

from tests.faults.journal import What
from tests.faults.scenario import Load, Scenario
from tests.faults.stage import Stage

LEASE = 1.5


def supervise(stage: Stage) -> None:
    """Start a worker for each that dies, until all is pushed and done."""
    while not stage.is_done():
        for worker in [
            worker for worker in stage.workers if not worker.alive and not stage.noted(What.KILLED, by=worker)
        ]:
            stage.note_end(worker)
            stage.start_worker(wait=False)
            assert len(stage.workers) < 20, "workers die again and again"
        stage.go_on_for(0.05)


def nothing(stage: Stage) -> None:
    """The jobs themselves are the fault."""


def poison(do: str) -> Scenario:
    """A job that ends its process each time: it fails when its attempts are spent, and the others are done.

    What the process holds beside it has its attempts spent as well, so here that is nothing. Should the job get attempts
    beyond its last, then the second of those is harmless, so that the run comes to its end.
    """
    load = Load(jobs=40, special={5: (do, 4)}, lease=LEASE, worker={"concurrency": 1, "prefetch": 0})
    return Scenario(f"poison: {do}", supervise, load=load, failed=(5,), waiting=True)


def runs_once(name: str, do: str, *, threads: bool = False, overlap: bool = False) -> Scenario:
    load = Load(jobs=30, special={3: (do, 1000)}, lease=LEASE, threads=threads)
    return Scenario(name, nothing, load=load, counted=True, overlap=overlap, waiting=True)


ODD = {
    "a SystemExit": "system exit",
    "an exception group": "group",
    "an error with NUL and a lone surrogate": "nul",
    "an error of 10 MB": "huge",
    "an error that cannot be shown": "bad repr",
}

SCENARIOS = (
    poison("exit"),
    poison("abort"),
    poison("crash"),
    Scenario("out of memory", nothing, load=Load(jobs=30, special={5: ("hoard:50", 1000)}), failed=(5,), counted=True),
    runs_once("the event loop is blocked for three leases", f"block:{3 * LEASE}"),
    runs_once("a thread is blocked for three leases", f"block:{3 * LEASE}", threads=True),
    Scenario(
        "the interpreter's lock is held for three leases",
        nothing,
        load=Load(jobs=30, special={3: (f"gil:{3 * LEASE}", 1)}, lease=LEASE),
        overlap=True,
        waiting=True,
    ),
    *(
        Scenario(
            f"a handler raises {name}", nothing, load=Load(jobs=20, special={7: (do, 1000)}), failed=(7,), counted=True
        )
        for name, do in ODD.items()
    ),
)
