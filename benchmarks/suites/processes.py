"""Several worker processes that empty one queue in PostgreSQL, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject, SubjectFailed
from harness.rounds import Entry, in_turns, rate_row
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table
from suites.drain import BEST, NOTE


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure one, two and four processes; and in `pg_stat_activity`, which locks their sessions wait for."""
    jobs = pick(size, full=100_000, quick=30_000, tiny=200)
    entries: list[Entry] = []
    for processes in (1, 2, 4):
        name = f"{processes} process{'es' * (processes > 1)}"
        settings = {"jobs": jobs, "processes": processes}
        raw, ours = f"raw, one statement, k=100, {name}", f"lagoqueue, {name}"
        entries += [
            Entry(Subject(raw, "raw/postgresql", "drain", stores.postgresql, settings | {"variant": "one", "k": 100})),
            Entry(Subject(ours, "ours/draining", "drain", stores.postgresql, settings | BEST), raw),
        ]
    rates = Table("processes", "PostgreSQL: drain by several worker processes", "jobs/s", note=NOTE)
    waits = Table(
        "processes_waits",
        "PostgreSQL: of the time that their sessions were at work, what they waited for locks",
        "%",
        note="looked up each 20 ms in pg_stat_activity; Lock is of rows, tables and transactions, LWLock of the server's own memory",
    )
    for entry, answers in in_turns(entries, pick(size, full=3, quick=1, tiny=1)):
        rates.rows.append(rate_row(entry, answers))
        if not isinstance(answers, SubjectFailed):
            for kind, key in (("Lock", "lock_percent"), ("LWLock", "lwlock_percent")):
                if key in answers[0]:
                    waits.rows.append(Row(f"{entry.subject.name}: {kind}", [answer[key] for answer in answers]))
    yield rates
    yield waits
