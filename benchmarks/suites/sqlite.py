"""SQLite, with and without waiting for the disk."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject
from harness.rounds import Entry, rates
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Table, Target
from suites.drain import NOTE


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure pushes and drains beside sqlite3 called directly."""
    for synchronous in ("full", "normal"):
        yield from at_setting(stores, size, synchronous)


def at_setting(stores: Stores, size: Size, synchronous: str) -> Iterator[Table]:
    rounds = pick(size, full=5, quick=1, tiny=1)
    few = pick(size, full=5_000, quick=1_000, tiny=20)
    many = pick(size, full=100_000, quick=20_000, tiny=1_000)

    def subject(name: str, script: str, workload: str, jobs: int, **settings: object) -> Subject:
        return Subject(name, script, workload, stores.sqlite, {"jobs": jobs, "synchronous": synchronous, **settings})

    title = f"SQLite, WAL, synchronous={synchronous}"
    raw = "raw sqlite3, a transaction each"
    yield rates(
        f"sqlite_{synchronous}_enqueue_one",
        f"{title}: enqueue one",
        [
            Entry(subject(raw, "raw/sqlite", "enqueue_one", few)),
            Entry(subject("lagoqueue, one by one", "ours/pushing", "enqueue_one", few), raw, Target(0.5)),
            Entry(
                subject("lagoqueue, 100 at once", "ours/pushing", "enqueue_one", 2 * few, concurrent=100)
                if few >= 50
                else subject("lagoqueue, 10 at once", "ours/pushing", "enqueue_one", few, concurrent=10),
                raw,
                Target(0.5),
            ),
        ],
        rounds,
        "raw runs in no event loop and hops to no thread",
    )
    raw = "raw sqlite3, executemany of 1,000"
    yield rates(
        f"sqlite_{synchronous}_enqueue_bulk",
        f"{title}: enqueue 1,000 at a time",
        [
            Entry(subject(raw, "raw/sqlite", "enqueue_bulk", many)),
            Entry(subject("lagoqueue", "ours/pushing", "enqueue_bulk", many), raw),
        ],
        rounds,
    )
    one, hundred = "raw sqlite3, claim 1 then DELETE", "raw sqlite3, DELETE 100 and claim 100"
    yield rates(
        f"sqlite_{synchronous}_drain",
        f"{title}: drain, no-op handlers",
        [
            Entry(subject(one, "raw/sqlite", "drain", few, variant="two", k=1)),
            Entry(subject("raw sqlite3, DELETE 1 and claim 1", "raw/sqlite", "drain", few, variant="one", k=1), one),
            Entry(subject(hundred, "raw/sqlite", "drain", many, variant="one", k=100)),
            Entry(subject("lagoqueue, turns of 1 by hand", "ours/draining", "turns", few, k=1), one, Target(0.5)),
            Entry(subject("lagoqueue, concurrency 1", "ours/draining", "drain", few, concurrency=1), one, Target(0.5)),
            Entry(
                subject("lagoqueue, turns of 100 by hand", "ours/draining", "turns", many, k=100), hundred, Target(0.6)
            ),
            Entry(
                subject(
                    "lagoqueue, concurrency 10, prefetch 190",
                    "ours/draining",
                    "drain",
                    many,
                    concurrency=10,
                    prefetch=190,
                ),
                hundred,
                Target(0.6),
            ),
        ],
        rounds,
        NOTE,
    )
