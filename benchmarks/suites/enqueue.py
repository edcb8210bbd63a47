"""Pushing to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

from harness.processes import Subject
from harness.rounds import Entry, rates
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Table, Target


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure one job at a time, 1,000 at a time, in a session's transaction, and from sixteen connections."""
    rounds = pick(size, full=5, quick=1, tiny=1)
    at = stores.postgresql

    def subject(name: str, script: str, workload: str, jobs: int, **settings: object) -> Subject:
        return Subject(name, script, workload, at, {"jobs": jobs, **settings})

    jobs = pick(size, full=5_000, quick=600, tiny=20)
    raw = "raw psycopg, INSERT"
    yield rates(
        "enqueue_one",
        "PostgreSQL: enqueue one, awaited one by one",
        [
            Entry(subject(raw, "raw/postgresql", "enqueue_one", jobs)),
            Entry(subject("lagoqueue", "ours/pushing", "enqueue_one", jobs), raw, Target(0.85)),
        ],
        rounds,
        "raw: no id of the caller's, name, attempts, headers, or priority, and nobody is woken",
    )

    many = pick(size, full=100_000, quick=20_000, tiny=1_000)
    raw, insert = "raw psycopg, COPY", "raw psycopg, INSERT with unnest, returning ids"
    yield rates(
        "enqueue_bulk",
        "PostgreSQL: enqueue 1,000 at a time",
        [
            Entry(subject(raw, "raw/postgresql", "enqueue_bulk", many, variant="copy")),
            Entry(subject(insert, "raw/postgresql", "enqueue_bulk", many, variant="unnest"), raw),
            Entry(subject("lagoqueue", "ours/pushing", "enqueue_bulk", many), raw, Target(0.65)),
        ],
        rounds,
        "raw: one column less of each kind, see enqueue one; COPY tells no ids and refuses no duplicates",
    )

    by_hand = "the same row by hand, text()"
    yield rates(
        "enqueue_session",
        "PostgreSQL: enqueue in a transaction of an SQLAlchemy AsyncSession, one each",
        [
            Entry(subject(by_hand, "ours/pushing", "enqueue_session", jobs, variant="by hand")),
            Entry(subject("the least row by hand, text()", "raw/postgresql", "enqueue_session", jobs), by_hand),
            Entry(
                subject("lagoqueue, within(session)", "ours/pushing", "enqueue_session", jobs, variant="within"),
                by_hand,
                Target(0.9),
            ),
        ],
        rounds,
    )

    jobs = pick(size, full=16_000, quick=1_600, tiny=32)
    silent = 'lagoqueue, wakeup="poll"'
    yield rates(
        "producers",
        "PostgreSQL: sixteen producers, four connections in each of four processes, with and without waking",
        [
            Entry(subject(silent, "ours/pushing", "producers", jobs, wakeup="poll")),
            Entry(
                subject('lagoqueue, wakeup="notify"', "ours/pushing", "producers", jobs, wakeup="notify"),
                silent,
                Target(0.9),
            ),
        ],
        rounds,
    )
