"""A worker that empties a full queue in PostgreSQL, by itself and with others."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject
from harness.rounds import Entry, rates
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Table, Target

BEST = {"concurrency": 10, "prefetch": 490}
"""The worker settings with which no-op handlers go fastest."""

NOTE = (
    "from before the first claim until the last ack is answered; raw decodes nothing, calls no handler, and keeps no"
    " attempts, receipts, expiry or failed jobs"
)


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure one process, with the raw loops of the same batch sizes."""
    rounds = pick(size, full=5, quick=1, tiny=1)
    few, some, many = pick(size, full=(3_000, 20_000, 100_000), quick=(600, 4_000, 30_000), tiny=(20, 50, 200))
    at = stores.postgresql

    def raw(name: str, variant: str, k: int, jobs: int) -> Subject:
        return Subject(name, "raw/postgresql", "drain", at, {"variant": variant, "k": k, "jobs": jobs})

    def ours(name: str, jobs: int, concurrency: int, **settings: object) -> Subject:
        return Subject(name, "ours/draining", "drain", at, {"jobs": jobs, "concurrency": concurrency, **settings})

    two, ten, hundred = "raw, claim 1 then DELETE", "raw, one statement, k=10", "raw, one statement, k=100"
    best = "lagoqueue, " + ", ".join(f"{name} {value}" for name, value in BEST.items())
    yield rates(
        "drain",
        "PostgreSQL: drain, one worker process, no-op handlers",
        [
            Entry(raw(two, "two", 1, few)),
            Entry(raw("raw, one statement, k=1", "one", 1, few), two),
            Entry(raw(ten, "one", 10, some)),
            Entry(raw(hundred, "one", 100, many)),
            Entry(raw("raw, claim 100 then DELETE", "two", 100, many), hundred),
            Entry(raw("raw, one statement, k=1000", "one", 1000, many), hundred),
            Entry(ours("lagoqueue, concurrency 1", few, 1), two, Target(1.4)),
            Entry(ours("lagoqueue, concurrency 10", some, 10), ten, Target(0.7)),
            Entry(ours("lagoqueue, concurrency 100", some, 100), hundred),
            Entry(ours(best, many, **BEST), hundred, Target(0.85)),
            Entry(ours("lagoqueue, sync handlers, concurrency 8", some, 8, handler="thread"), two),
            Entry(ours(f"{best}, one in ten fails", some, handler="failing", **BEST), best),
        ],
        rounds,
        NOTE,
    )
