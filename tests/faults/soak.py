"""A long load with faults all the while: `nox -s soak`, or `python -m tests.faults.soak --minutes 30 --database mariadb`.

A producer pushes some hundred jobs a second of all kinds, three workers do them, and every few seconds something breaks.
At the end all invariants must hold of every job, and neither memory nor connections may have grown. What was seen is
printed, and drawn if --chart names a file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from harness.chart import Lines, line_chart
from tests.faults.checker import figures
from tests.faults.journal import What
from tests.faults.sampling import Sample, Sampler, growing, quarters, use
from tests.faults.scenario import ALL, POSTGRESQL, SQLITE, Load, Scenario
from tests.faults.settings import Kind
from tests.faults.soak_faults import FAULTS, TIMEOUT, Fault
from tests.faults.stage import Stage, play, rules_of

MIX = (
    *(Kind(),) * 23,
    *(Kind(seconds=0.005, threads=True),) * 6,
    *(Kind(seconds=0.05),) * 4,
    *(Kind(seconds=0.5),) * 2,
    *(Kind(do="retry:0.5", attempts=1),) * 2,
    *(Kind(delay=2.0),) * 2,
    Kind(do="fail"),
)
"""Of forty jobs: no-ops, functions in threads, slow ones, some that are retried, some that are not due at once, one that fails."""

LOAD = Load(
    jobs=10_000_000,
    meanwhile=True,
    rate=300,
    pushers=8,
    mix=MIX,
    workers=3,
    lease=5.0,
    queue={"timeout": TIMEOUT},
    worker={"concurrency": 16, "prefetch": 16, "max_retry": 20},
)

EVERY = 5.0
"""Seconds between two samples, and, at most, between two faults; less in a short soak."""


WARM = 500
"""Jobs that the first worker has run when the soak begins."""


class Soak:
    """A soak of one database, and what was seen of it.

    Attributes:
        database: Which one.
        seconds: How long jobs are pushed.
        hits: How often each fault has hit.
        samples: What was taken meanwhile.
        said: The journal in one line, once all is done.
    """

    def __init__(self, database: str, seconds: float) -> None:
        self.database = database
        self.seconds = seconds
        self.hits: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.said = ""
        self._every = min(EVERY, seconds / 40)

    def play(self, seed: int, folder: Path) -> None:
        """Play it from beginning to end.

        Raises:
            AssertionError: An invariant does not hold, a fault has not hit, or what must stay flat has grown.
        """
        on_server = self.database != SQLITE
        scenario = Scenario("soak", self._go_on, load=LOAD, own_server=on_server, proxied=on_server)
        record = play(scenario, self.database, seed, folder)
        self.said = figures(record, rules_of(scenario))
        assert not (grown := growing(self.samples)), "; ".join(grown)

    def _go_on(self, stage: Stage) -> None:
        """Break one thing after the other, each once before any comes again."""
        faults = [fault for fault in FAULTS if self.database in fault.databases]
        ahead: list[Fault] = []
        self._warm_up(stage)
        until = time.monotonic() + self.seconds
        with Sampler(Watch(stage), self._every) as sampler:
            self.samples = sampler.samples
            while time.monotonic() < until:
                stage.go_on_for(stage.random.uniform(0.0, self._every))
                ahead = ahead or stage.random.sample(faults, len(faults))
                fault = ahead.pop()
                stage.journal.note(What.FAULT, note=fault.name)
                fault.hit(stage)
                self.hits[fault.name] += 1

    def _warm_up(self, stage: Stage) -> None:
        """Let the first worker run enough to have opened all that it needs: what it takes is watched from then on."""
        first = stage.workers[0]
        stage.until(lambda: len(stage.noted(What.ENDED, by=first)) >= WARM, "the first worker has not run enough")

    # --- What was seen ----------------------------------------------------------------------------

    def table(self) -> str:
        """The faults, and of each figure the first sample, the median of each quarter, and the last sample."""
        lines = [
            f"=== {self.database}, {self.seconds:g} s",
            *(f"{times:5} times {name}" for name, times in self.hits.items()),
        ]
        lines.append(f"{'':16}{'first':>10}{'1st quarter':>12}{'2nd':>10}{'3rd':>10}{'4th':>10}{'last':>10}")
        for name in Sample.__struct_fields__[1:]:
            first, last = (getattr(self.samples[place], name) or 0.0 for place in (0, -1))
            one, *others = quarters(self.samples, name)
            lines.append(f"{name:16}{first:10.1f}{one:12.1f}" + "".join(f"{each:10.1f}" for each in [*others, last]))
        return "\n".join([*lines, self.said])

    def chart(self) -> str:
        """Draw the samples, as SVG."""

        def panel(title: str, unit: str, **names: str) -> Lines:
            seen: dict[str, Sequence[tuple[float, float]]] = {
                label: [(sample.at, value) for sample in self.samples if (value := getattr(sample, name)) is not None]
                for label, name in names.items()
            }
            return Lines(f"{title}, {self.database}", unit, seen)

        return line_chart(
            [
                panel("Handlers ended", "jobs/s", ended="rate"),
                panel("In the queue", "jobs", jobs="backlog"),
                panel("Due and not claimed", "s", oldest="oldest"),
                panel("Resident memory", "MB", worker="worker_mb", producer="producer_mb"),
                panel(
                    "Connections, and the worker's files and sockets", "", connections="sessions", files="worker_files"
                ),
            ]
        )


class Watch:
    """Takes a sample of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._at = 0.0
        self._read = stage.journal.path.stat().st_size

    def __call__(self, at: float) -> Sample:
        stage = self._stage
        worker, producer = use(stage.workers[0].pid), use(stage.producers[0].pid)
        backlog, oldest, connections = self._in_store()
        ended, seconds, self._at = self._newly_ended(), at - self._at, at
        return Sample(
            at=at,
            rate=ended / seconds,
            backlog=backlog,
            oldest=oldest,
            worker_mb=worker.megabytes,
            producer_mb=producer.megabytes,
            worker_files=worker.files,
            producer_files=producer.files,
            worker_threads=worker.threads,
            sessions=connections,
        )

    def _newly_ended(self) -> int:
        """How many handlers have ended since this was asked last. The stage's own reader is the other thread's."""
        with self._stage.journal.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        return new.count(ENDED)

    def _in_store(self) -> tuple[float | None, float | None, float | None]:
        stage = self._stage
        due = "min(CASE WHEN reserved_at IS NULL THEN available_at END)"
        try:
            with stage.engine.connect() as connection:
                backlog, first = connection.execute(sa.text(f"SELECT count(*), {due} FROM jobs")).one()
            connections = sessions(stage) if stage.database != SQLITE else None
        except DBAPIError:  # the fault of the moment
            return None, None, None
        oldest = 0.0 if first is None else max(0.0, time.time() - first / 1e6)
        return backlog, oldest, connections


def sessions(stage: Stage) -> int:
    """How many connections processes have to the stage's database."""
    name = sa.make_url(stage.url).database
    if stage.database == POSTGRESQL:
        where = f"pg_stat_activity WHERE datname = '{name}' AND application_name = 'lagoqueue'"
    else:
        where = f"information_schema.processlist WHERE db = '{name}'"
    return int(stage.server.sql(f"SELECT count(*) FROM {where}")[0][0])


ENDED = f'"what":"{What.ENDED}"'.encode()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, shared by the databases (default: 10)")
    parser.add_argument(
        "--database", choices=ALL, action="append", help="one of them, or several; by default all three"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what chance decides")
    parser.add_argument("--chart", type=Path, help="a file for an SVG; each database's name is put before its ending")
    arguments = parser.parse_args()
    databases = arguments.database or ALL
    broken = False
    for database in databases:
        soak = Soak(database, arguments.minutes * 60 / len(databases))
        try:
            with tempfile.TemporaryDirectory() as folder:
                soak.play(arguments.seed, Path(folder))
        except AssertionError as error:
            broken = True
            print(error)
        if len(soak.samples) >= 4:
            print(soak.table(), flush=True)
            if arguments.chart:
                arguments.chart.with_suffix(f".{database}{arguments.chart.suffix}").write_text(soak.chart())
    return broken


if __name__ == "__main__":
    sys.exit(main())
