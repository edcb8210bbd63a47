"""A long steady load on PostgreSQL: `nox -s bench -- soak`, or `nox -s bench -- soak --minutes 60`.

One process dispatches and one works, at 80% of the rate that the two just reached together. Every few seconds the worker notes
its rate, latencies and memory; at the end every job must have run. Writes soak.json to benchmarks/results, and soak.svg
unless --chart names another place.
"""

from __future__ import annotations

import json
import multiprocessing
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

import psycopg

from harness.chart import Lines, line_chart
from harness.results import LATEST, machine, now
from harness.script import Settings
from harness.stores import Stores
from ours.soaking import Shared, produce, work
from suites.drain import BEST

SHARE = 0.8

Sample = dict[str, float]


def soak(stores: Stores, minutes: float, chart: Path | None) -> None:
    """Measure the peak, then run at a share of it; print, keep and draw what is seen.

    Raises:
        RuntimeError: A job was lost.
    """
    seconds = minutes * 60
    samples, _ = run(stores, {"rate": None, "seconds": min(20.0, seconds / 2), "every": 1.0})
    rates = sorted(sample["rate"] for sample in samples)
    peak = rates[len(rates) // 2]
    print(f"peak {peak:,.0f} jobs/s; now {minutes:g} minutes at {SHARE * peak:,.0f} jobs/s", flush=True)
    settings = {"rate": SHARE * peak, "seconds": seconds, "every": max(1.0, min(5.0, seconds / 20))}
    samples, outcome = run(stores, settings)
    outcome |= {"peak": peak, "rate": SHARE * peak, "minutes": minutes}
    print(", ".join(f"{name} {value:,.6g}" for name, value in outcome.items()), flush=True)
    folder = LATEST.parent
    folder.mkdir(exist_ok=True)
    found = {"date": now(), "machine": machine() | stores.about(), "outcome": outcome, "samples": samples}
    (folder / "soak.json").write_text(json.dumps(found, indent=1))
    (chart or folder / "soak.svg").write_text(draw(samples))
    if outcome["lost"] or outcome["left"]:
        raise RuntimeError(
            f"of {outcome['pushed']:,} jobs {outcome['lost']:,} have not run, and {outcome['left']:,} are left"
        )


def run(stores: Stores, settings: Settings) -> tuple[list[Sample], dict[str, float]]:
    """Let two processes produce and work; return what was noted meanwhile, and what became of the jobs."""
    context = multiprocessing.get_context("spawn")
    number = partial(context.Value, "q", 0, lock=False)
    shared = Shared(number(), number(), number(), context.Event(), context.Queue())
    with stores.postgresql() as place:
        settings = settings | BEST | place
        processes = [
            context.Process(target=function, args=(settings, shared), daemon=True) for function in (work, produce)
        ]
        for process in processes:
            process.start()
        samples: list[Sample] = []
        while "lost" not in (said := heard(shared.said, processes)):
            samples.append(said)
            print("  ".join(f"{name} {value:,.4g}" for name, value in said.items()), flush=True)
        for process in processes:
            process.join()
        with psycopg.connect(place["dsn"]) as connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM failed_jobs)"
            ).fetchone()
    assert counts is not None
    return samples, said | {"left": counts[0]}


def heard(said: Any, processes: list[Any]) -> Sample:
    """Return what the worker says next.

    Raises:
        RuntimeError: A process failed.
    """
    while True:
        try:
            sample: Sample = said.get(timeout=1.0)
            return sample
        except Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a process of the soak has failed") from None


def draw(samples: list[Sample]) -> str:
    def line(name: str) -> list[tuple[float, float]]:
        return [(sample["at"], sample[name]) for sample in samples]

    return line_chart(
        [
            Lines("From dispatch to the start of the handler", "ms", {"p50": line("p50"), "p99": line("p99")}),
            Lines("Jobs per second", "jobs/s", {"done": line("rate")}),
            Lines("Dispatched and not yet run", "jobs", {"backlog": line("backlog")}),
            Lines("Resident memory", "MB", {"worker": line("worker_mb"), "producer": line("producer_mb")}),
        ]
    )
