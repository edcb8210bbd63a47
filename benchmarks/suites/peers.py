"""Other job queues, each at its best documented setting, beside lagoqueue and the raw loops of the same sitting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.environments import NoEnvironment, python_for
from harness.processes import ROOT, Answer, Subject, SubjectFailed, ask
from harness.rounds import Entry, latencies, rates
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table, Target
from suites.drain import BEST

SYNC = "lagoqueue, sync handlers, concurrency 8"
AHEAD = {"pgqueuer on postgresql": 2.7, "awa on postgresql": 8.0}
"""How many times as fast as these lagoqueue is meant to empty a queue."""

NOTE = (
    "peers: from the start of the first handler to the end of the last; raw and lagoqueue: from before the first claim until"
    " the last ack is answered. Redis with its built-in defaults does not sync to the disk"
)


@dataclass(frozen=True)
class Peer:
    """What a script says that it can do, or why it cannot."""

    script: Path
    python: str
    about: Answer

    @property
    def name(self) -> str:
        return self.script.stem.replace("_", " ")

    def entries(self, workload: str, stores: Stores, size: Size, against: str) -> list[Entry]:
        """Return one entry for each variant of a workload that it has."""
        store = getattr(stores, self.about["store"])
        jobs = pick(size, full=2, quick=1, tiny=0) * self.about["jobs"].get(workload, 0) or 10
        variants: Sequence[str | None] = self.about["workloads"].get(workload, [])
        target = (
            Target(round(1 / AHEAD[self.name], 3), most=True) if workload == "drain" and self.name in AHEAD else None
        )
        return [
            Entry(
                Subject(
                    f"{self.name}, {variant}" if variant else self.name,
                    f"peers/{self.script.stem}",
                    workload,
                    store,
                    {"jobs": jobs} | ({"variant": variant} if variant else {}),
                    self.python,
                ),
                against,
                target,
            )
            for variant in variants
        ]


def found() -> tuple[list[Peer], list[Row]]:
    """Return the peers that can run here, and a row for each that cannot."""
    peers: list[Peer] = []
    missing: list[Row] = []
    for script in sorted((ROOT / "peers").glob("[a-z]*.py")):
        try:
            python = python_for(script)
            peers.append(Peer(script, python, ask([python, str(script), "--describe"])))
        except (NoEnvironment, SubjectFailed) as error:
            missing.append(Row(script.stem.replace("_", " "), remark=f"not measured: {error}"))
    return peers, missing


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure what each peer can do, servers first, then SQLite."""
    peers, missing = found()
    rounds = pick(size, full=3, quick=1, tiny=1)
    on_servers = [peer for peer in peers if peer.about["store"] in ("postgresql", "redis")]
    if stores.redis_missing:
        missing += [Row(peer.name, remark=stores.redis_missing) for peer in peers if peer.about["store"] == "redis"]
        on_servers = [peer for peer in on_servers if peer.about["store"] != "redis"]
    few, many = pick(size, full=(5_000, 100_000), quick=(1_000, 30_000), tiny=(10, 1_000))

    def ours(name: str, script: str, workload: str, **settings: Any) -> Subject:
        return Subject(name, script, workload, stores.postgresql, settings)

    def theirs(workload: str) -> list[Entry]:
        return [entry for peer in on_servers for entry in peer.entries(workload, stores, size, "lagoqueue")]

    yield rates(
        "peers_enqueue_one",
        "Peers: enqueue one, awaited one by one",
        [
            Entry(ours("raw psycopg, INSERT", "raw/postgresql", "enqueue_one", jobs=few), "lagoqueue"),
            Entry(ours("lagoqueue", "ours/pushing", "enqueue_one", jobs=few)),
            *theirs("enqueue_one"),
        ],
        rounds,
    )
    yield rates(
        "peers_enqueue_bulk",
        "Peers: enqueue 1,000 at a time",
        [
            Entry(ours("raw psycopg, COPY", "raw/postgresql", "enqueue_bulk", jobs=many, variant="copy"), "lagoqueue"),
            Entry(ours("lagoqueue", "ours/pushing", "enqueue_bulk", jobs=many)),
            *theirs("enqueue_bulk"),
        ],
        rounds,
    )
    drained = rates(
        "peers_drain",
        "Peers: drain, one worker process, no-op handlers",
        [
            Entry(
                ours("raw, one statement, k=100", "raw/postgresql", "drain", jobs=many, variant="one", k=100),
                "lagoqueue",
            ),
            Entry(ours("lagoqueue", "ours/draining", "drain", jobs=many, **BEST)),
            Entry(
                ours(SYNC, "ours/draining", "drain", jobs=few, concurrency=8, handler="thread"),
                "procrastinate on postgresql, async",
                Target(3),
            ),
            *theirs("drain"),
        ],
        rounds,
        NOTE,
    )
    drained.rows += missing
    yield drained
    idle = {"jobs": pick(size, full=200, quick=60, tiny=3), "gap": [0.03, 0.05]}
    yield latencies(
        "peers_latency",
        "Peers: idle, from dispatch in one process to the start of the handler in another",
        [
            Entry(ours("raw, INSERT and pg_notify, LISTEN, claim", "raw/postgresql", "latency", **idle), "lagoqueue"),
            Entry(ours("lagoqueue", "ours/waiting", "latency", concurrency=10, **idle)),
            *theirs("latency"),
        ],
        1,
    )
    yield from on_sqlite(stores, size, [peer for peer in peers if peer.about["store"] == "sqlite"], rounds)


def on_sqlite(stores: Stores, size: Size, peers: Sequence[Peer], rounds: int) -> Iterator[Table]:
    jobs = pick(size, full=5_000, quick=1_000, tiny=10)
    settings = {"jobs": jobs, "synchronous": "full"}
    for workload, script, worker in (
        ("enqueue_one", "ours/pushing", {}),
        ("drain", "ours/draining", {**BEST, "jobs": 10 * jobs}),
    ):
        entries = [Entry(Subject("lagoqueue", script, workload, stores.sqlite, settings | worker))]
        entries += [entry for peer in peers for entry in peer.entries(workload, stores, size, "lagoqueue")]
        yield rates(f"peers_sqlite_{workload}", f"Peers on SQLite, synchronous=full: {workload}", entries, rounds, NOTE)
