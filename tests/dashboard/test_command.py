"""`lagoqueue dashboard` as people run it: a process, its address, its answers, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from lagoqueue import Job
from lagoqueue.failure import Failure
from lagoqueue_dashboard.standalone import opening
from lagoqueue_dashboard.standalone.command import dashboard
from lagoqueue_sql import SQLQueue
from tests.dashboard.crawling import Page

PASSWORD = "correct horse battery"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A queue in a file, with a job that waits and one that failed."""
    file = tmp_path / "jobs.db"

    async def fill() -> None:
        async with SQLQueue(f"sqlite:///{file}") as queue:
            await queue.setup()
            await queue.push(Job(id="waits", name="SendMail", payload=b"{}", queue="mail"))
            job = Job(id="went-wrong", name="SendMail", payload=b"{}", queue="mail", attempts=3)
            await queue.failed_jobs.record(job, "mail", Failure("Timeout", "Timeout: no answer"))

    asyncio.run(fill())
    return file


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lagoqueue", "dashboard", *arguments]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAGOQUEUE_")}
    return {**kept, **variables}


@contextmanager
def serving(*arguments: str, cwd: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command until the block ends; give the address that it printed, and the process."""
    process = subprocess.Popen(
        command("--port", "0", *arguments),
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"(http://\S+)/queues/", line)
        if found is None:
            process.kill()
            raise AssertionError(process.communicate()[1])
        yield found[1], process
    finally:
        process.kill()
        process.communicate()


def fails(*arguments: str, cwd: Path, **variables: str) -> tuple[int, str]:
    """Run a command that does not start, and return its exit code and what it says."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        dashboard, arguments, env=dict.fromkeys(["LAGOQUEUE_URL", "LAGOQUEUE_DASHBOARD_PASSWORD"])
    )
    return done.exit_code, " ".join(done.output.split())


# --- It serves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_a_database_until_a_signal(database: Path, number: signal.Signals) -> None:
    with serving("--url", f"sqlite:///{database}", "--title", "our jobs", cwd=database.parent) as (url, process):
        page = httpx.get(f"{url}/", follow_redirects=True, timeout=10)
        assert page.status_code == 200
        assert "our jobs" in page.text
        assert "mail" in page.text
        assert "server" not in page.headers
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_failed_job_can_be_retried_there(database: Path) -> None:
    with (
        serving(LAGOQUEUE_URL=f"sqlite:///{database}", cwd=database.parent) as (url, _),
        httpx.Client(base_url=url) as browser,
    ):
        form = next(
            form
            for form in Page(browser.get("/queues/failed/job?id=went-wrong").text).forms
            if any(action.endswith("/went-wrong/retry") for action in form.actions)
        )
        action = next(action for action in form.actions if action.endswith("/went-wrong/retry"))
        assert browser.post(action, data={}).status_code in (403, 415)
        assert browser.post(action, data=form.fields).status_code == 303
        assert browser.get("/queues/failed/job?id=went-wrong").status_code == 404
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT id FROM jobs ORDER BY id").fetchall() == [("waits",), ("went-wrong",)]
    assert connection.execute("SELECT count(*) FROM failed_jobs").fetchone() == (0,)
    connection.close()


def test_read_only(database: Path) -> None:
    with (
        serving("--url", f"sqlite:///{database}", "--read-only", cwd=database.parent) as (url, _),
        httpx.Client(base_url=url) as browser,
    ):
        page = browser.get("/queues/failed/job?id=went-wrong")
        token = Page(page.text).forms[0].fields["csrf_token"]
        answer = browser.post("/queues/failed/went-wrong/retry", data={"csrf_token": token})
        assert (answer.status_code, "read-only" in answer.text) == (403, True)
        assert browser.get("/queues/failed/job?id=went-wrong").status_code == 200


def test_without_a_password_strangers_are_refused(database: Path) -> None:
    with serving("--url", f"sqlite:///{database}", cwd=database.parent) as (url, _):
        answer = httpx.get(f"{url}/queues/", headers={"X-Forwarded-For": "192.0.2.1"})
        assert answer.status_code == 403
        assert "LAGOQUEUE_DASHBOARD_PASSWORD" in answer.text
        assert httpx.get(f"{url}/queues/", headers={"Host": "evil.example"}).status_code == 403


def test_with_a_password_it_may_listen_anywhere_and_stand_behind_a_proxy(database: Path) -> None:
    arguments = ["--url", f"sqlite:///{database}", "--host", "0.0.0.0", "--prefix", "/jobs"]
    with serving(*arguments, cwd=database.parent, LAGOQUEUE_DASHBOARD_PASSWORD=PASSWORD) as (url, _):
        url = url.replace("0.0.0.0", "127.0.0.1")
        headers = {"X-Forwarded-For": "192.0.2.1", "Host": "jobs.example.org"}
        asked = httpx.get(f"{url}/queues/", headers=headers)
        assert asked.status_code == 401
        assert asked.headers["WWW-Authenticate"].startswith('Basic realm="lagoqueue"')
        assert "mail" not in asked.text
        for auth in [("ada", "wrong"), ("ada", ""), (PASSWORD, ""), ("", PASSWORD[:-1]), ("ada", "ü")]:
            assert httpx.get(f"{url}/queues/", headers=headers, auth=auth).status_code == 401
        for value in ("Basic", "Basic !!!", "Basic YQ==", "Bearer x", "Digest username=a"):
            assert httpx.get(f"{url}/queues/", headers={**headers, "Authorization": value}).status_code == 401
        for name in ("ada", "", "ünal"):
            page = httpx.get(f"{url}/queues/", headers=headers, auth=(name, PASSWORD))
            assert page.status_code == 200
            assert name in page.text
            assert 'href="/jobs/queues/' in page.text


OWN = """
from contextlib import asynccontextmanager

from lagoqueue import MemoryQueue
from lagoqueue.monitor import MemoryInspector

queue = MemoryQueue()
inspector = MemoryInspector(queue=queue, failed=queue.failed_jobs)


def returns():
    return inspector


async def awaited():
    return inspector


@asynccontextmanager
async def opens():
    yield inspector
    print("closed", flush=True)


class Holder:
    inside = inspector


def nothing():
    return 5
"""


@pytest.mark.parametrize("attribute", ["inspector", "returns", "awaited", "opens", "Holder.inside"])
def test_it_serves_an_inspector_of_ones_own(tmp_path: Path, attribute: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "jobs.py").write_text(OWN)
    with serving(f"shop.jobs:{attribute}", "--environment", "staging", cwd=tmp_path) as (url, process):
        assert "staging" in httpx.get(f"{url}/queues/").text
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert ("closed" in rest) == (attribute == "opens")


# --- It does not start, and says why ----------------------------------------------------------------


def test_a_port_that_is_taken(database: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, says = fails("--url", f"sqlite:///{database}", "--port", port, cwd=database.parent)
    assert code == 1
    assert port in says
    assert "--port" in says


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    code, says = fails("--url", "sqlite:///no.db", cwd=tmp_path)
    assert code == 1
    assert "'no.db'" in says
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_not_there(database: Path, tmp_path: Path) -> None:
    code, says = fails("--url", f"sqlite:///{database}", "--table", "others", cwd=tmp_path)
    assert code == 1
    assert "others" in says
    assert "setup" in says


def test_a_server_that_is_not_there_and_the_password_is_not_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    code, says = fails(cwd=tmp_path, LAGOQUEUE_URL=f"postgresql://ada:hunter2@127.0.0.1:{port}/shop")
    assert code == 1
    assert "could not be reached" in says
    assert "hunter2" not in says


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --url"),
        (["--url", "sqlite:///x.db", "shop:inspector"], "either --url"),
        (["--url", "hunter2"], "--url is no URL"),
        (["--url", "redis://ada:hunter2@host"], "opens redis: URLs"),
        (["--url", "sqlite:///x.db", "--table", "no such;table"], "no such;table"),
        (["--url", "sqlite:///x.db", "--port", "99999"], "99999"),
        (["--url", "sqlite:///x.db", "--host", "0.0.0.0"], "LAGOQUEUE_DASHBOARD_PASSWORD"),
        (["--url", "sqlite:///x.db", "--host", "192.0.2.1"], "LAGOQUEUE_DASHBOARD_PASSWORD"),
        (["--url", "sqlite:///x.db", "--host", "::"], "LAGOQUEUE_DASHBOARD_PASSWORD"),
        (["shop"], "MODULE:ATTRIBUTE"),
        (["no_such_module:inspector"], "no module 'no_such_module'"),
        (["json:dumps.nothing"], "no attribute"),
        (["string:digits"], "gives a str, and not an Inspector"),
        (["lagoqueue.monitor:MemoryFailedJobs"], "gives a MemoryFailedJobs"),
    ],
)
def test_a_wrong_command(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    code, said = invoke(*arguments)
    assert code == 2
    assert says in said
    assert "hunter2" not in said


def test_what_is_named_goes_before_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("LAGOQUEUE_URL", "sqlite:///x.db")
    assert "gives a str" in invoke("string:digits")[1]


def test_a_password_that_is_easy_to_guess(database: Path) -> None:
    code, says = fails("--url", f"sqlite:///{database}", cwd=database.parent, LAGOQUEUE_DASHBOARD_PASSWORD="hunter2")
    assert code == 2
    assert "12" in says
    assert "hunter2" not in says


def test_a_prefix_that_is_none(database: Path) -> None:
    code, says = fails("--url", f"sqlite:///{database}", "--prefix", "//evil", cwd=database.parent)
    assert (code, "//evil" in says) == (2, True)


# --- Drivers ----------------------------------------------------------------------------------------


def with_drivers(monkeypatch: pytest.MonkeyPatch, **drivers: str) -> None:
    found = [EntryPoint(name, value, opening.GROUP) for name, value in drivers.items()]
    monkeypatch.setattr(opening, "entry_points", lambda group: found if group == opening.GROUP else [])


def test_no_driver_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_drivers(monkeypatch)
    code, says = invoke("--url", "postgresql://host/shop")
    assert (code, "pip install lagoqueue-sql" in says) == (2, True)


def test_a_driver_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with_drivers(monkeypatch, queue="no_such_driver:open")
    code, says = invoke("--url", "queue://host")
    assert (code, "no_such_driver:open cannot be loaded: ModuleNotFoundError" in says) == (1, True)


def test_a_driver_gets_the_url_whole_and_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Any] = []
    driver = SimpleNamespace(name="queue", value="x", load=lambda: lambda url, *, table: got.append((url, table)))
    monkeypatch.setattr(opening, "entry_points", lambda group: [driver])
    opening.open_url("Queue+fast://Host/A", "others")
    assert got == [("Queue+fast://Host/A", "others")]


def test_the_drivers_of_lagoqueue_sql_are_found() -> None:
    found = {each.name: each.load() for each in entry_points(group=opening.GROUP)}
    assert {"sqlite", "postgresql", "mysql", "mariadb"} <= found.keys()


# --- The command line -------------------------------------------------------------------------------


def test_the_help_teaches() -> None:
    done = subprocess.run(command("--help"), capture_output=True, text=True, timeout=60, check=True)
    for what in (
        "--url sqlite:///jobs.db",
        "LAGOQUEUE_URL",
        "LAGOQUEUE_DASHBOARD_PASSWORD",
        "Exit codes",
        "--read-only",
    ):
        assert what in done.stdout


def test_the_group_lists_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lagoqueue", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.search(r"dashboard +Serve a web page", done.stdout)
    assert isinstance(dashboard, click.Command)
