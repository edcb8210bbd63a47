"""MariaDB, where this machine has one."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject
from harness.rounds import Entry, rates
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Table, Target
from suites.drain import BEST, NOTE


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure pushes and a drain."""
    rounds = pick(size, full=5, quick=1, tiny=1)
    few, many = pick(size, full=(3_000, 50_000), quick=(300, 5_000), tiny=(20, 200))
    raw = "raw PyMySQL, INSERT"
    yield rates(
        "mariadb_enqueue_one",
        "MariaDB: enqueue one, awaited one by one",
        [
            Entry(Subject(raw, "raw/mariadb", "enqueue_one", stores.mariadb, {"jobs": few})),
            Entry(Subject("lagoqueue", "ours/pushing", "enqueue_one", stores.mariadb, {"jobs": few}), raw, Target(0.8)),
        ],
        rounds,
    )
    raw = "raw PyMySQL, DELETE 100 and claim 100"
    yield rates(
        "mariadb_drain",
        "MariaDB: drain, no-op handlers",
        [
            Entry(Subject(raw, "raw/mariadb", "drain", stores.mariadb, {"jobs": many, "k": 100})),
            Entry(
                Subject(
                    "lagoqueue, turns of 100 by hand",
                    "ours/draining",
                    "turns",
                    stores.mariadb,
                    {"jobs": many, "k": 100},
                ),
                raw,
                Target(0.6),
            ),
            Entry(
                Subject("lagoqueue, a worker", "ours/draining", "drain", stores.mariadb, {"jobs": many, **BEST}),
                raw,
                Target(0.6),
            ),
        ],
        rounds,
        NOTE,
    )
