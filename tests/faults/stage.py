"""The stage of a scenario: its database, its processes, and the means to break them. Whatever it does is in the journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa

import servers
from lagoqueue import Job, LagoqueueError
from lagoqueue_sql import SQLQueue, SyncSQLQueue
from tests.faults.checker import Breach, Left, Record, Rules, check
from tests.faults.disk import Disk, under
from tests.faults.forked import Forked
from tests.faults.journal import Event, Journal, Reader, What
from tests.faults.scenario import MARIADB, POSTGRESQL, SQLITE, Load, Scenario
from tests.faults.settings import Kind, Producing, Working
from tests.faults.wrong_clock import WrongClock
from tests.proxy import Proxy
from tests.sqlqueue.processes import totals

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.py")

PATIENCE = 60.0
"""Seconds after which a scenario gives up waiting for what should take a moment."""

LOOK = 0.02
"""Seconds between two looks at what other processes have done."""

GRACE = 2.0
ENDING = 2.0
"""Seconds beyond its grace that a worker may take to end (I8)."""


class Broken(AssertionError):
    """Invariants do not hold; the message is a report on it."""

    def __init__(self, report: str, breaches: Sequence[Breach]) -> None:
        super().__init__(report)
        self.breaches = breaches


class Process:
    """A process of the scenario; with an environment of its own it is started anew, else forked, which is quick.

    What it logs goes to a file, so that no pipe fills up.
    """

    def __init__(self, role: str, settings: msgspec.Struct, errors: Path, environment: Mapping[str, str]) -> None:
        self.role = role
        self.errors = errors
        text = msgspec.json.encode(settings).decode()
        self.popen: subprocess.Popen[bytes] | Forked = (
            start_anew(role, text, errors, environment) if environment else Forked(role, text, errors)
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    @property
    def log(self) -> str:
        return self.errors.read_text(errors="replace")


def start_anew(role: str, settings: str, errors: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program anew, in an environment."""
    paths = [environment.get("PYTHONPATH"), str(ROOT), str(ROOT / "tools"), os.environ.get("PYTHONPATH")]
    with errors.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), role, settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )


class Stage:
    """Where a scenario is played; a context manager that leaves nothing behind.

    Attributes:
        scenario: The scenario.
        database: "sqlite", "postgresql" or "mariadb".
        url: Of the database itself.
        random: What chance decides, from the seed.
        breaches: What has been seen to be wrong so far.
    """

    def __init__(
        self,
        scenario: Scenario,
        database: str,
        seed: int,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.scenario = scenario
        self.load: Load = scenario.load
        self.database = database
        self.seed = seed
        self.folder = folder
        self.environment = dict(environment or {})
        self.random = random.Random(f"{scenario.name} {database} {seed}")
        self.breaches: list[Breach] = []
        self.workers: list[Process] = []
        self.producers: list[Process] = []
        self._pushes = 0
        self._stack = ExitStack()
        self.journal = Journal(folder / "journal")
        self._reader = Reader(folder / "journal")
        self._server: servers.PostgreSQL | servers.MariaDB | None = None
        self._proxy: Proxy | None = None
        self._disk: Disk | None = None
        self._clock: WrongClock | None = None

    # --- Setting the stage ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.callback(self._clear)
            self._make_database()
            SQLQueue(self.url, **self._queue_settings()).setup_sync()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _clear(self) -> None:
        for process in [*self.workers, *self.producers]:
            process.popen.kill()
            process.popen.wait(PATIENCE)
        self.journal.close()

    def _make_database(self) -> None:
        if self.scenario.clock == "application" or (self.scenario.clock and self.database == SQLITE):
            self._clock = WrongClock(self.folder / "clock")
            self.environment |= self._clock.environment
        if self.database == SQLITE:
            folder = self.folder
            if self.scenario.disk:
                self._disk = self._stack.enter_context(Disk(self.folder / "disk", self.scenario.disk))
                folder = self._disk.path
            self.url = f"sqlite:///{folder / 'jobs.db'}"
        else:
            if self.scenario.own_server:
                server = {POSTGRESQL: servers.PostgreSQL, MARIADB: servers.MariaDB}[self.database]()
                if self.scenario.clock == "store":
                    self._clock = WrongClock(server.folder / "clock")
                    server.environment = self._clock.environment
                self._stack.enter_context(server)
            else:
                server = {POSTGRESQL: servers.shared_postgresql, MARIADB: servers.shared_mariadb}[self.database]()
            self._server = server
            self.url = server.create_database()
            if self.scenario.disk:
                assert self.scenario.own_server, "other scenarios would go without their server"
                self._disk = self._stack.enter_context(under(server, self.url, self.scenario.disk))
            if not self.scenario.own_server:
                self._stack.callback(server.drop_database, self.url)
        self.worker_url = self.url
        if self.scenario.proxied:
            url = sa.make_url(self.url)
            assert url.port is not None, "a file has no port to put a proxy before"
            self._proxy = self._stack.enter_context(Proxy("127.0.0.1", url.port))
            self.worker_url = url.set(port=self._proxy.port).render_as_string(hide_password=False)
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)

    def _queue_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"visibility_timeout": self.load.lease}
        if self.database == SQLITE:
            settings["synchronous"] = "normal"  # nobody cuts the power
        return settings | dict(self.load.queue)

    @property
    def server(self) -> servers.PostgreSQL | servers.MariaDB:
        assert self._server is not None, f"{self.database} has no server"
        return self._server

    @property
    def disk(self) -> Disk:
        assert self._disk is not None, "the scenario says nothing of a disk"
        return self._disk

    @property
    def clock(self) -> WrongClock:
        assert self._clock is not None, "the scenario says nothing of a clock"
        return self._clock

    @property
    def proxy(self) -> Proxy:
        assert self._proxy is not None, "the scenario says nothing of a proxy"
        return self._proxy

    # --- Processes --------------------------------------------------------------------------------

    def start_worker(
        self,
        *,
        failpoints: str = "",
        names: tuple[str, ...] | None = None,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> Process:
        """Start a worker, and wait until it runs.

        Args:
            failpoints: What is to happen at which of them.
            names: The payload types that it has handlers for; by default those of the load.
            environment: Goes before that of all processes.
            wait: Whether to wait until it runs.
            settings: More arguments of its `Worker`.
        """
        worker = {
            "concurrency": 4,
            "prefetch": 4,
            "max_retry": 3,
            "backoff": 0.1,
            "poll": self.load.poll,
            "grace": GRACE,
        }
        working = Working(
            self.worker_url,
            str(self.journal.path),
            self.load.names if names is None else names,
            self._queue_settings(),
            worker | dict(self.load.worker) | settings,
        )
        own = {"LAGOQUEUE_FAILPOINTS": failpoints} if failpoints else {}
        process = self._start("work", working, {**own, **(environment or {})})
        self.workers.append(process)
        if wait:
            self.until_started(process)
        return process

    def start_producer(self, jobs: int | None = None) -> Process:
        """Start pushing so many jobs, by default all of the scenario's load."""
        load = self.load
        jobs = load.jobs if jobs is None else jobs
        first, self._pushes = self._pushes, self._pushes + jobs
        producing = Producing(
            self.worker_url,
            str(self.journal.path),
            self._queue_settings(),
            jobs,
            first,
            load.rate,
            load.pushers,
            load.mix or (Kind(load.seconds, load.threads),),
            dict(load.special),
        )
        process = self._start("produce", producing, {})
        self.producers.append(process)
        return process

    def push(self, number: int, payload: bytes, *, name: str = "Errand") -> None:
        """Push a job from here, whatever is in it.

        Raises:
            LagoqueueError: It was refused.
        """
        job = Job(f"job-{number}", name, payload)
        self.journal.note(What.PUSHING, job=job.id)
        try:
            self._queue.push_sync(job)
        except LagoqueueError as error:
            self.journal.note(What.REFUSED, job=job.id, note=f"{type(error).__name__}: {error}")
            raise
        self.journal.note(What.PUSHED, job=job.id)

    @cached_property
    def _queue(self) -> SyncSQLQueue:
        settings = self._queue_settings()
        del settings["visibility_timeout"]
        return self._stack.enter_context(SyncSQLQueue(self.worker_url, **settings))

    def end_producers(self) -> None:
        """Have no further jobs pushed; what is under way is pushed yet."""
        for producer in self.producers:
            if producer.alive:
                self.until_started(producer)
                producer.popen.send_signal(signal.SIGTERM)

    def _start(self, role: str, settings: msgspec.Struct, environment: Mapping[str, str]) -> Process:
        number = len(self.workers) + len(self.producers)
        return Process(role, settings, self.folder / f"log-{number}", {**self.environment, **environment})

    def has_started(self, process: Process) -> bool:
        """Whether a process runs, and has come so far as to begin with what it is for."""
        assert process.alive, f"{process.role} has ended\n{process.log}"
        self._reader.read()
        return process.pid in self._reader.started

    def has_claimed(self, process: Process) -> bool:
        """Whether it has had a job."""
        self._reader.read()
        return process.pid in self._reader.claimants

    @property
    def running(self) -> list[Process]:
        """The workers that live."""
        return [worker for worker in self.workers if worker.alive]

    def kill(self, process: Process) -> None:
        """End a process without warning."""
        process.popen.kill()
        process.popen.wait(PATIENCE)
        self.note_end(process)

    def note_end(self, process: Process) -> None:
        """Note that a process is dead; it may have done so by itself."""
        process.popen.wait(PATIENCE)
        self.journal.note(What.KILLED, pid=process.pid)

    def silence(self, process: Process) -> None:
        """Stop a process where it is."""
        self.journal.note(What.SILENCED, pid=process.pid)
        process.popen.send_signal(signal.SIGSTOP)

    def wake(self, process: Process) -> None:
        """Let it go on."""
        process.popen.send_signal(signal.SIGCONT)
        self.journal.note(What.WOKEN, pid=process.pid)

    def stop(self, *processes: Process, number: signal.Signals = signal.SIGTERM, within: float | None = None) -> None:
        """Ask workers to end, and see that they do so, and well, within their grace and two seconds (I8)."""
        self.until_started(*processes)
        within = GRACE + ENDING if within is None else within
        began = time.monotonic()
        for process in processes:
            self.journal.note(What.STOPPING, pid=process.pid)
            process.popen.send_signal(number)
        for process in processes:
            try:
                code = process.popen.wait(max(0.1, began + within - time.monotonic()))
            except subprocess.TimeoutExpired:
                text = f"worker {process.pid} did not end within {within:g} s of {number.name}\n{process.log}"
                self.breaches.append(Breach("I8", "", text))
                self.kill(process)
            else:
                self.journal.note(What.STOPPED, pid=process.pid, note=f"exit code {code}")
                if code != 0:
                    text = f"worker {process.pid} ended with exit code {code}\n{process.log}"
                    self.breaches.append(Breach("I8", "", text))

    # --- Waiting ----------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The journal up to now."""
        return self._reader.read()

    def noted(self, *what: What, by: Process | None = None) -> list[Event]:
        """The events of some kinds, of all processes or of one."""
        return [event for event in self.events if event.what in what and (by is None or event.pid == by.pid)]

    @property
    def in_hand(self) -> dict[str, int]:
        """The jobs whose handlers run, with the process in which they do so; also of one that has died."""
        self._reader.read()
        return dict(self._reader.running)

    def count(self, *what: What) -> int:
        """How often such events have been noted."""
        self._reader.read()
        return sum(self._reader.counts[each] for each in what)

    def until(self, holds: Callable[[], bool], otherwise: str, *, within: float = PATIENCE) -> None:
        """Wait until something holds that other processes bring about.

        Raises:
            AssertionError: It does not in time.
        """
        deadline = time.monotonic() + within
        while not holds():
            assert time.monotonic() < deadline, f"{otherwise} within {within:g} s\n{self._logs()}"
            time.sleep(LOOK)

    def until_started(self, *processes: Process) -> None:
        """Wait until processes have begun with what they are for."""
        self.until(lambda: all(map(self.has_started, processes)), "not all processes have started")

    def until_done(self, share: float) -> None:
        """Wait until the handlers of a share of the load's jobs have run."""
        wanted = share * self.load.jobs
        self.until(lambda: self.count(What.ENDED) >= wanted, f"fewer than {wanted:g} jobs have run")

    def until_more(self, jobs: int = 20) -> None:
        """Wait until the handlers of so many further jobs have run."""
        wanted = self.count(What.ENDED) + jobs
        self.until(lambda: self.count(What.ENDED) >= wanted, f"no {jobs} further jobs have run")

    def go_on_for(self, seconds: float) -> None:
        """Let time pass, which is what some faults are about."""
        time.sleep(seconds)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Note that nobody can be expected to get on meanwhile."""
        self.journal.note(What.AWAY)
        try:
            yield
        finally:
            self.journal.note(What.BACK)

    def _logs(self) -> str:
        logs = [(process, process.log) for process in [*self.workers, *self.producers]]
        return "\n".join(f"--- {process.role} {process.pid}\n{log[-2000:]}" for process, log in logs if log)

    # --- The end ----------------------------------------------------------------------------------

    def drain(self) -> None:
        """Wait until all is pushed and nothing is left in the queue."""
        for producer in self.producers:
            if producer.alive:
                producer.popen.wait(PATIENCE + (0 if self.load.meanwhile else self.load.jobs / self.load.rate))
            assert producer.popen.returncode in (0, -signal.SIGKILL), producer.log
        work = self.count(What.PUSHED) * self.load.seconds
        self.until(lambda: not self.live(), "the queue has not run empty", within=PATIENCE + work + self.rules.longest)

    def is_done(self) -> bool:
        """Whether nobody pushes any more and nothing is left in the queue."""
        return not any(producer.alive for producer in self.producers) and not self.live()

    def live(self) -> list[str]:
        """The ids of the jobs in the queue."""
        return self._ids("jobs")

    def failed(self) -> list[str]:
        """The ids of the failed jobs."""
        return self._ids("failed_jobs")

    def _ids(self, table: str) -> list[str]:
        return [job.decode() if isinstance(job, bytes) else job for (job,) in self.rows(f"SELECT id FROM {table}")]

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """What a query of the database itself returns, over a connection of its own."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(select)]

    @property
    def rules(self) -> Rules:
        return rules_of(self.scenario)

    def left(self) -> Left:
        """What is in the database."""
        return Left(self.live(), self.failed(), totals(self.url))

    def judge(self) -> None:
        """Check all invariants.

        Raises:
            Broken: One does not hold.
        """
        if "_queue" in vars(self):
            self._queue.close()  # which writes its counts
        record, left = Record(self.events), self.left()
        breaches = self.breaches + check(record, left, self.rules)
        expected = self._told_to_fail()
        if wrong := expected.symmetric_difference(left.failed):
            breaches.append(
                Breach("I6", "", f"should have failed and have not, or the other way round: {sorted(wrong)[:10]}")
            )
        if breaches:
            raise Broken(self._report(record, breaches), breaches)

    def _told_to_fail(self) -> set[str]:
        """The jobs that must have failed: by number, and of a kind that does nothing else."""
        failing = [place for place, kind in enumerate(self.load.mix) if kind.do == "fail"]
        jobs = {f"job-{number}" for number in self.scenario.failed}
        if failing:
            pushed = (event.job for event in self.noted(What.PUSHED))
            jobs |= {job for job in pushed if int(job.removeprefix("job-")) % len(self.load.mix) in failing}
        return jobs

    def _report(self, record: Record, breaches: list[Breach]) -> str:
        lines = [f"{len(breaches)} breaches; again with: {replay_command(self.scenario, self.database, self.seed)}"]
        lines += [f"{invariant} {job} {text}" for invariant, job, text in breaches[:10]]
        broken = next((job for _, job, _ in breaches if job), None)
        if broken is not None:
            lines += [f"--- what befell {broken}", record.history(broken)]
        return "\n".join([*lines, self._logs()])


def rules_of(scenario: Scenario) -> Rules:
    """What the settings of a scenario promise."""
    load = scenario.load
    retries = int(load.worker.get("max_retry", 3))
    return Rules(load.lease, load.poll, retries, scenario.counted, scenario.overlap, scenario.waiting)


def replay_command(scenario: Scenario, database: str, seed: int) -> str:
    """What plays a scenario again."""
    kills = f" --kills {scenario.load.kills}" if scenario.load.kills else ""
    return f"python -m tests.faults {scenario.name!r} {database} --seed {seed}{kills}"


def play(
    scenario: Scenario, database: str, seed: int, folder: Path, *, environment: Mapping[str, str] | None = None
) -> Record:
    """Play a scenario from beginning to end, and return what was noted.

    Raises:
        Broken: An invariant does not hold.
        AssertionError: Something did not come to an end, or the fault did not hit.
    """
    with Stage(scenario, database, seed, folder, environment=environment) as stage:
        workers = [stage.start_worker(wait=False) for _ in range(scenario.load.workers)]
        stage.until_started(*workers)  # so each gets jobs
        stage.start_producer()
        stage.until(lambda: stage.count(What.PUSHED) > 0, "nothing was pushed")
        if scenario.load.meanwhile and workers:
            stage.until_more()
        scenario.fault(stage)
        if scenario.load.meanwhile:
            stage.until_more()  # so it goes on under load as well
            stage.end_producers()
        stage.drain()
        stage.stop(*stage.running)
        stage.judge()
        if scenario.check is not None:
            scenario.check(stage)
        return Record(stage.events)
