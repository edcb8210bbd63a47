"""How soon a job starts in PostgreSQL: when all is idle, and under a steady load."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject
from harness.rounds import Entry, latencies
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Table, Target


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure from before the dispatch in one process to the start of the handler in another."""
    at = stores.postgresql
    idle = {"jobs": pick(size, full=300, quick=80, tiny=3), "gap": [0.03, 0.05]}
    raw = "raw, INSERT and pg_notify, LISTEN, claim"
    yield latencies(
        "latency",
        "PostgreSQL: idle, from dispatch in one process to the start of the handler in another",
        [
            Entry(Subject(raw, "raw/postgresql", "latency", at, idle)),
            Entry(
                Subject("lagoqueue", "ours/waiting", "latency", at, idle | {"concurrency": 10}),
                raw,
                percentiles=(Target(1.25, most=True), Target(2, most=True)),
            ),
        ],
        pick(size, full=3, quick=1, tiny=1),
        "a job each 30 to 50 ms; raw listens and claims on one connection",
    )
    seconds = pick(size, full=60, quick=5, tiny=0.1)
    load = [("2,000 jobs/s pushed each 10 ms", 2_000, {"concurrency": 10, "prefetch": 90})]
    yield latencies(
        "steady",
        f"PostgreSQL: a process that produces and one that consumes, for {seconds:g} s",
        [
            Entry(
                Subject(
                    f"lagoqueue, {name}",
                    "ours/waiting",
                    "steady",
                    at,
                    {"jobs": int(seconds * rate), "rate": rate} | setting,
                )
            )
            for name, rate, setting in load
        ],
        1,
    )
    seconds = pick(size, full=30, quick=4, tiny=0.02)
    yield latencies(
        "delayed",
        f"PostgreSQL: delayed jobs that come due at 5,000/s for {seconds:g} s: how late they start",
        [
            Entry(
                Subject(
                    "lagoqueue, concurrency 10, prefetch 90",
                    "ours/waiting",
                    "delayed",
                    at,
                    {"jobs": int(seconds * 5_000), "rate": 5_000, "concurrency": 10, "prefetch": 90},
                )
            )
        ],
        1,
    )
