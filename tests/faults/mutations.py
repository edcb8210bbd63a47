"""Mutations: the product, wrong in one place. A scenario has to fail with each, or it proves nothing.

They are texts that stand in a module exactly once, so one that no longer does is an error, and not a mutation that does
nothing. The mutated package is a copy, which comes first on the path of a scenario's processes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.faults.scenario import MARIADB, POSTGRESQL, SQLITE

IMPORTED = """

__import__("pathlib").Path({folder!r}, str(__import__("os").getpid())).touch()
"""
"""Put at the end of a mutated module: each process that imports it leaves its number in a folder."""


class TextNotFound(ValueError):
    """What a mutation replaces is not, or not only once, where it should be: write the mutation anew."""


@dataclass(frozen=True)
class Mutation:
    """One mistake.

    Attributes:
        name: What is wrong.
        file: The module, from its package on.
        text: What stands there, once.
        instead: What stands there when it is wrong.
        scenario: The one that must fail.
        database: The one on which it is played.
        shown: By what it must fail: one of these invariants, or what the fault itself saw, in its own words.
        seeds: With these, until it fails so: some mistakes take chance to show.
        slow: Whether it is left to the long runs.
    """

    name: str
    file: str
    text: str
    instead: str
    scenario: str
    database: str
    shown: tuple[str, ...]
    seeds: tuple[int, ...] = (1, 2, 3)
    slow: bool = False

    def apply(self, source: str) -> str:
        """Return a module's source with the mistake.

        Raises:
            TextNotFound: There is no such text, or more than one.
        """
        if (times := source.count(self.text)) != 1:
            raise TextNotFound(f"{self.name!r} replaces a text that is in {self.file} {times} times:\n{self.text}")
        return source.replace(self.text, self.instead)


def module(name: str) -> Path:
    """Return where a package's module is installed, given from its package on."""
    package, _, rest = name.partition("/")
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations, f"{package} is no package"
    return Path(spec.submodule_search_locations[0], rest)


class Mutant:
    """A package with a mistake in it.

    Args:
        folder: Where to put it.
        mutation: The mistake; the module's own text in place of itself makes a mere copy.
    """

    def __init__(self, folder: Path, mutation: Mutation) -> None:
        self.path = folder / "path"
        self._importers = folder / "importers"
        self._importers.mkdir(parents=True)
        package = mutation.file.partition("/")[0]
        # With its bytecode, which is that of the copy too, but for the module that is written anew.
        being_written = shutil.ignore_patterns("*.pyc.*")
        shutil.copytree(module(package), self.path / package, ignore=being_written)
        copy = self.path / mutation.file
        copy.write_text(mutation.apply(copy.read_text()) + IMPORTED.format(folder=str(self._importers)))

    @property
    def environment(self) -> Mapping[str, str]:
        """Of the processes that are to run it."""
        return {"PYTHONPATH": str(self.path)}

    @property
    def importers(self) -> set[int]:
        """The processes that have imported the module with the mistake."""
        return {int(path.name) for path in self._importers.iterdir()}


# --- The fence ------------------------------------------------------------------------------------

POSTGRESQL_STATEMENTS = "lagoqueue_sql/dialects/postgresql_statements.py"
SQLITE_STATEMENTS = "lagoqueue_sql/dialects/sqlite_statements.py"
MARIADB_STATEMENTS = "lagoqueue_sql/dialects/mysql_statements.py"

FENCE = (
    Mutation(
        "no fence",
        POSTGRESQL_STATEMENTS,
        "(({jobs}.id, {jobs}.seq, {jobs}.receipt) IN (SELECT i, s, r FROM batch)) IS TRUE",
        "(({jobs}.id, {jobs}.seq) IN (SELECT i, s FROM batch)) IS TRUE",
        "slept past the lease, then acks",
        POSTGRESQL,
        ("I3",),
    ),
    Mutation(
        "no fence",
        SQLITE_STATEMENTS,
        "DELETE FROM {jobs} WHERE seq = :s AND receipt = :r AND id = :i",
        "DELETE FROM {jobs} WHERE seq = :s AND id = :i",
        "slept past the lease, then acks",
        SQLITE,
        ("I3",),
    ),
    Mutation(
        "no fence",
        MARIADB_STATEMENTS,
        'ack = f"{_LOCK};{_DELETE};{_DELETE} AND (seq, receipt, id) IN :keys"',
        'ack = f"{_LOCK};{_DELETE};{_DELETE}".replace("AND receipt IN :receipts", "")',
        "slept past the lease, then acks",
        MARIADB,
        ("I3",),
    ),
    Mutation(
        "no fence for what is put back",
        SQLITE_STATEMENTS,
        "AND {jobs}.receipt = json_extract(batch.value, '$.r')",
        "",
        "slept past the lease, then nacks",
        SQLITE,
        ("I3", "I4"),  # as it is told or not that it was accepted
    ),
    Mutation(
        "a receipt repeats",
        "lagoqueue_sql/claim.py",
        "return os.urandom(RECEIPT // 2).hex()",
        'return RECEIPT * "0"',
        "slept past the lease, then acks",
        SQLITE,
        ("I3",),
    ),
    Mutation(
        "a worker is not told what was refused",
        "lagoqueue_sql/settle.py",
        "if len(held) == len(self._settlements):",
        "if self._settlements:",
        "slept past the lease, then acks",
        SQLITE,
        ("I3",),
    ),
)

# --- Claims ---------------------------------------------------------------------------------------

CLAIMS = (
    Mutation(
        "attempts are not counted as a job is claimed",
        SQLITE_STATEMENTS,
        "worker = :worker, attempts = attempts + 1",
        "worker = :worker",
        "slept past the lease, then acks",
        SQLITE,
        ("I6",),
    ),
    Mutation(
        "a job is taken off as it is claimed",
        "lagoqueue_sql/operations.py",
        "        if turned.found.waits:\n",
        '        self.settle(store, [Settlement(job, "ack") for job in turned.found.jobs])\n'
        "        if turned.found.waits:\n",
        "all killed at once",
        SQLITE,
        ("I1",),
    ),
    Mutation(
        "a claim locks nothing",
        MARIADB_STATEMENTS,
        "ORDER BY available_at, seq LIMIT :limit FOR UPDATE SKIP LOCKED;",
        "ORDER BY available_at, seq LIMIT :limit;",
        "eight workers contend for single jobs",
        MARIADB,
        ("I4",),
    ),
    Mutation(
        "a transaction begins without the write lock",
        "lagoqueue_sql/dialects/sqlite.py",
        'link.run("BEGIN IMMEDIATE")',
        'link.run("BEGIN")',
        "eight processes work on one file",
        SQLITE,
        ("a transaction met another one",),
    ),
)

# --- Reservations ---------------------------------------------------------------------------------

RESERVATIONS = (
    Mutation(
        "instants come from the application's clock",
        POSTGRESQL_STATEMENTS,
        'now: str | None = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS bigint)"',
        "now: str | None = None",
        "clocks of processes are two hours apart",
        POSTGRESQL,
        ("I4", "I5"),
    ),
    Mutation(
        "the keeper beats on the event loop",
        "lagoqueue/keeping.py",
        """\
        self._thread.start()

    def _run(self) -> None:
        try:
            self._beat()
            while not self._stopping.wait(self._keeper.interval):
                self._beat()
""",
        """\
        self._loop = __import__("asyncio").get_running_loop()
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._keeper.interval):
                beaten = threading.Event()
                self._loop.call_soon_threadsafe(lambda: (self._beat(), beaten.set()))
                beaten.wait(60)
""",
        "the event loop is blocked for three leases",
        SQLITE,
        ("I4",),
    ),
    Mutation(
        "the keeper stops before the drain",
        "lagoqueue/run.py",
        "        await self._exchange.claim_stopped(_LAST_WAIT)\n",
        "        await self._exchange.claim_stopped(_LAST_WAIT)\n"
        "        if beat is not None:\n"
        "            await asyncio.to_thread(beat.stop, _LAST_WAIT)\n",
        "drains for longer than the lease",
        SQLITE,
        ("I4",),
    ),
    Mutation(
        "the keeper never extends",
        "lagoqueue_sql/keeper.py",
        "return self.extend(self._due(jobs))",
        "return []",
        "a thread is blocked for three leases",
        SQLITE,
        ("I4",),
    ),
    Mutation(
        "reservations end before their time",
        SQLITE_STATEMENTS,
        "AND reserved_until > :since AND reserved_until <= {now}",
        "AND reserved_until > :since",
        "a thread is blocked for three leases",
        SQLITE,
        ("I4",),
    ),
    Mutation(
        "expired reservations are left alone",
        "lagoqueue_sql/claim.py",
        'for row in self._database.reclaim(link, self._sql, {"now": self._now(), "since": self._swept}):',
        "for row in []:",
        "killed in the handler",
        SQLITE,
        ("I5",),
        slow=True,
    ),
    Mutation(
        "a worker is dead as soon as it is silent",
        "lagoqueue_sql/keeper.py",
        "SILENCE = 12.0\n",
        "SILENCE = 0.0\n",
        "told to end, jobs outlast the grace",
        SQLITE,
        ("I4",),
    ),
)

# --- Settling -------------------------------------------------------------------------------------

SETTLING = (
    Mutation(
        "a burial is two transactions",
        "lagoqueue_sql/settle.py",
        'rows = database.held(link, sql, sql.bury, {"batch": batch, "now": now})\n',
        'rows = database.held(link, sql, sql.bury, {"batch": batch, "now": now})\n'
        '    link.run("COMMIT")\n'
        '    link.run("BEGIN")\n',
        "killed inside burial",
        SQLITE,
        ("I1",),
    ),
    Mutation(
        "a release spends an attempt",
        "lagoqueue_sql/settle.py",
        'int(each.action == "release")',
        "0",
        "told to end, jobs outlast the grace",
        SQLITE,
        ("I6",),
    ),
    Mutation(
        "a retry does not wait",
        "lagoqueue_sql/settle.py",
        'duration(to_seconds(each.delay, "delay"))',
        "0",
        "slept past the lease, then nacks",
        SQLITE,
        ("I5",),
    ),
    Mutation(
        "spent attempts are not looked at",
        "lagoqueue/execution.py",
        "if job.attempts > limit:",
        "if job.attempts > 100 * limit:",
        "poison: exit",
        SQLITE,
        ("I6",),
        slow=True,
    ),
    Mutation(
        "what waits to run is not given back at the end",
        "lagoqueue/run.py",
        "self._give_back(self._slots.take_back())",
        "self._slots.take_back()",
        "told to end, jobs outlast the grace",
        SQLITE,
        ("I8",),
    ),
)

# --- Answers that were lost -----------------------------------------------------------------------

LOST_ANSWERS = (
    Mutation(
        "what may have been done is done again in silence",
        "lagoqueue_sql/store.py",
        "read_again = mode is Mode.READ",
        "read_again = True",
        "the answer to a push is lost",
        POSTGRESQL,
        ("I2",),
    ),
    Mutation(
        "what a claim reserved is not given back when its answer is lost",
        "lagoqueue_sql/operations.py",
        "for lost in self._lost_tokens:",
        "for lost in ():",
        "the answer to a claim is lost",
        POSTGRESQL,
        ("I6", "each should have run in the attempts 1 to 1"),
        slow=True,
    ),
    Mutation(
        "a settlement that went through is refused when it is repeated",
        "lagoqueue_sql/settle.py",
        "if key in self._unsure and self._was_done(link, sql, key)}",
        "if False}",
        "the answer to an ack is lost",
        POSTGRESQL,
        ("I7",),
    ),
)

MUTATIONS = (*FENCE, *CLAIMS, *RESERVATIONS, *SETTLING, *LOST_ANSWERS)
