"""The password of a database, wherever it was given, is in nothing that a queue, a page or a command tells."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

import servers
from lagoqueue import DriverError, InvalidValue, Job, Worker
from lagoqueue.monitor import FailedFilter, MemoryFailedJobs, MemoryInspector
from lagoqueue_dashboard.guarding.access import Access
from lagoqueue_dashboard.guarding.password import Password
from lagoqueue_dashboard.standalone.command import dashboard
from lagoqueue_sql import SQLInspector, SQLQueue, SyncSQLQueue
from tests.dashboard.small import browse
from tests.dashboard.visits import Visitor, served
from tests.security.told import Log, told_by

pytestmark = pytest.mark.security

PASSWORD = "s3cr3t@n0tsh0wn:pa55w0rd/?#% '\\\u20ac&x=unseen"
PARTS = ("s3cr3t", "n0tsh0wn", "pa55w0rd", "unseen", quote("#% '"), "\\u20ac", "\u20ac")
"""What none of the texts may hold: not a piece of the password, however it is cut or written."""

HELD = Job("a", "Example", b"{}", receipt="1-0123456789abcdef0123456789abcdef")


def assert_untold(text: str) -> None:
    assert text
    for part in PARTS:
        where = text.find(part)
        assert where < 0, text[max(0, where - 300) : where + 100]


# --- Where one cannot get in --------------------------------------------------------------------------


class Door(NamedTuple):
    """What keeps us out.

    Attributes:
        url: Without the password.
        password: The one to try.
        says: What the errors say about it.
    """

    url: sa.URL
    password: str
    says: str


def _nobody_listens(server: servers.Server) -> Door:
    return Door(sa.make_url(server.url("shop")).set(username="ada", port=servers.free_port()), PASSWORD, "reached")


def _wrong_password(server: servers.Server) -> Door:
    url = sa.make_url(server.url()).set(username=server.create_user("another one"))
    return Door(url, PASSWORD, "password" if server.kind == "postgresql" else "refuses this user")


def _no_such_database(server: servers.Server) -> Door:
    name = server.create_user(PASSWORD)
    if server.kind == "mariadb":
        server.sql(f"GRANT ALL ON nowhere.* TO {name}@'127.0.0.1'")
    url = sa.make_url(server.url("nowhere")).set(username=name)
    return Door(url, PASSWORD, '"nowhere" does not exist' if server.kind == "postgresql" else "no such database")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> servers.Server:
    found: servers.Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[_nobody_listens, _wrong_password, _no_such_database], ids=lambda make: make.__name__[1:])
def door(request: pytest.FixtureRequest, server: servers.Server) -> Door:
    made: Door = request.param(server)
    return made


def _in_text(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    return url.set(password=password).render_as_string(hide_password=False), {}


def _in_query(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    return f"{url.render_as_string()}?password={quote(password, safe='')}", {}


def _in_arguments(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    return url.render_as_string(), {"connect_args": {"password": password}}


def _in_url(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    return url.set(password=password), {}


def _in_engine(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    return sa.create_engine(url.set(password=password)), {}


def _in_async_engine(url: sa.URL, password: str) -> tuple[Any, dict[str, Any]]:
    driver = "postgresql+psycopg" if url.get_backend_name() == "postgresql" else "mysql+asyncmy"
    return create_async_engine(url.set(password=password, drivername=driver)), {}


PLACES = [_in_text, _in_query, _in_arguments, _in_url, _in_engine, _in_async_engine]
OWN = PLACES[:4]
"""Where the queue makes each connection itself, `completing`'s too."""


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


# --- A queue ------------------------------------------------------------------------------------------


async def completes(queue: SQLQueue) -> None:
    async with queue.completing(HELD):
        pass


def completes_in_thread(queue: SQLQueue) -> None:
    with queue.completing(HELD):
        pass


def calls(queue: SQLQueue) -> list[Callable[[], Any]]:
    """Return everything that connects."""
    store, inspector, keeper = queue.failed_jobs, SQLInspector(queue), queue.keeper()
    return [
        queue.setup,
        lambda: queue.push(HELD),
        lambda: queue.push_many([HELD, HELD]),
        lambda: asyncio.to_thread(queue.push_sync, HELD),
        queue.pop,
        lambda: queue.pop(wait=1),
        lambda: queue.ack(HELD),
        lambda: queue.extend(HELD),
        queue.size,
        lambda: asyncio.to_thread(keeper.beat, [HELD]),
        store.list,
        lambda: store.retry("a"),
        store.flush,
        lambda: store.search(FailedFilter(text="x")),
        inspector.stats,
        inspector.depths,
        lambda: inspector.jobs("pending"),
        inspector.workers,
    ]


async def test_a_queue_that_cannot_connect(door: Door, log: Log) -> None:
    async with SQLQueue(_in_text(door.url, door.password)[0]) as queue:
        for call in calls(queue):
            with pytest.raises(DriverError) as caught:
                await call()
            assert door.says in str(caught.value)
            assert_untold(told_by(caught.value))
        (check, *_) = await SQLInspector(queue).health()
        assert (check.level, door.says in check.finding) == ("bad", True)
        assert_untold(repr(check))
        if queue._database.dialect.name == "postgresql":
            await asyncio.to_thread(log.wait_for, lambda record: "not listening" in record.msg)
        await _works_in_vain(queue, log)
    assert_untold(log.text)


async def test_wherever_the_password_was_given(door: Door, log: Log) -> None:
    for place in PLACES:
        given, options = place(door.url, door.password)
        async with SQLQueue(given, **options) as queue:
            parts = (queue, queue.named("mail"), queue.failed_jobs, queue.keeper(), queue.metadata, SQLInspector(queue))
            assert_untold(f"{parts} {queue} {vars(queue)} {queue._engines._options}")
            for call in (queue.setup, lambda queue=queue: asyncio.to_thread(queue.push_sync, HELD)):
                with pytest.raises(DriverError, match=door.says) as caught:
                    await call()
                assert_untold(told_by(caught.value))
        with SyncSQLQueue(given, **options) as blocking:
            with pytest.raises(DriverError) as caught:
                blocking.setup()
            assert_untold(f"{told_by(caught.value)} {blocking!r}")
    assert_untold(log.text)


async def _works_in_vain(queue: SQLQueue, log: Log) -> None:
    """Run a worker until it has said that it cannot."""
    worker = Worker(queue, poll=0.05)
    running = asyncio.create_task(worker.run())
    await asyncio.to_thread(
        log.wait_for, lambda record: record.name == "lagoqueue.worker" and record.levelno >= logging.WARNING
    )
    worker.stop()
    await asyncio.wait_for(running, 30)


async def test_a_handler_that_cannot_connect(door: Door, log: Log) -> None:
    """Its connection is SQLAlchemy's, whose errors come through as they are, and whose frames are its own."""
    for place in OWN:
        given, options = place(door.url, door.password)
        async with SQLQueue(given, **options) as queue:
            for call in (completes(queue), asyncio.to_thread(completes_in_thread, queue)):
                with pytest.raises(OperationalError) as caught:
                    await call
                assert_untold("".join(traceback.format_exception(caught.value)) + repr(caught.value))
    assert_untold(log.text)


async def test_the_right_password_lets_in(server: servers.Server) -> None:
    """Else all of the above would be about a password that never arrives."""
    name = server.create_user(PASSWORD)
    url = sa.make_url(server.create_database()).set(username=name)
    who = f"{name}@'127.0.0.1'" if server.kind == "mariadb" else name
    rights = f"ALL ON {url.database}.*" if server.kind == "mariadb" else "CREATE, USAGE ON SCHEMA public"
    server.sql(f"GRANT {rights} TO {who}", url.database)
    for place in PLACES:
        given, options = place(url, PASSWORD)
        async with SQLQueue(given, **options) as queue:
            await queue.setup()
            await queue.push(HELD)
            popped = await queue.pop()
            if place in OWN:
                async with queue.completing(popped):
                    pass
                await queue.push(HELD)
                with queue.completing(await queue.pop()):
                    pass
            else:
                await queue.ack(popped)
    server.drop_database(f"x/{url.database}")


# --- Text that was meant for a URL ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "s3cr3t",
        "ada:s3cr3t@n0tsh0wn/shop",
        "postgresql:/ada:s3cr3t@n0tsh0wn/shop",
        "postgresql://ada:s3cr3t@n0tsh0wn@host/shop",
        "postgresql://ada:s3cr3t@n0tsh0wn:pa55w0rd@host/shop",
        "postgresql://ada:s3cr3t@n0tsh0wn/pa55w0rd@host/shop",
        "postgresql://office/ada:s3cr3t@host/shop",
        "mysql://ada:s3cr3t@n0tsh0wn@host/shop",
        "mysql://ada@host:s3cr3t/shop",
        "sqlite://ada:s3cr3t@/jobs.db",
        "sqlite+pysqlcipher://:s3cr3t@/jobs.db",
        "oracle://ada:s3cr3t@host/shop",
        "mongodb+srv://ada:s3cr3t@host",
    ],
)
def test_a_text_that_is_no_url(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (SQLQueue, SyncSQLQueue):
        with pytest.raises(InvalidValue) as caught:
            made(text)
        errors: list[BaseException | None] = [caught.value]
        while (error := errors.pop()) is not None:
            assert_untold(f"{error} {error!r}")
            errors.append(error.__cause__ or error.__context__)
    code, says = invoke(monkeypatch, "--url", text)
    assert code == 2
    assert_untold(says)


def test_a_name_with_an_at_is_no_password() -> None:
    SQLQueue("postgresql://ada%40example.org:pw@host/shop")
    SQLQueue("postgresql://ada:s3cr3t%40n0tsh0wn@host/shop%40home")
    SQLQueue("postgresql://ada@host:pw@host/shop")  # as some hosters name their users
    SQLQueue("sqlite:////home/ada@example.org/jobs.db")


# --- Pages ----------------------------------------------------------------------------------------------

PAGES = [
    "/",
    "/queue?name=mail",
    "/job?id=a",
    "/failed",
    "/failed?view=jobs",
    "/failed/job?id=a",
    "/workers",
    "/charts",
    "/health",
]


async def test_pages_whose_database_is_out_of_reach(door: Door, log: Log) -> None:
    url = _in_text(door.url, door.password)[0]
    async with SQLQueue(url) as queue, Visitor(served(SQLInspector(queue))) as visitor:
        answers = [await visitor.get(path) for path in PAGES]
        answers += [await visitor.get(f"/api{path}" if path != "/" else "/api/overview") for path in PAGES]
        answers += [await visitor.get("/api/stats"), await visitor.get("/api/live/health")]
        answers += [await visitor.post("/failed/a/retry"), await visitor.post("/failed/flush")]
    assert {answer.status_code for answer in answers} >= {200, 503}
    assert any(door.says in answer.text.replace("&#34;", '"') for answer in answers)
    for answer in answers:
        assert_untold(f"{answer.text} {answer.headers}")
    assert_untold(log.text)


async def test_the_dashboards_own_password(log: Log) -> None:
    password = Password(PASSWORD, Access.FULL)
    app = served(MemoryInspector(None, MemoryFailedJobs()), authorize=password)
    async with browse(app) as stranger, browse(app, auth=("ada", PASSWORD)) as friend:
        for path in PAGES:
            asked, let_in = await stranger.get(f"/admin/queues{path}"), await friend.get(f"/admin/queues{path}")
            assert (asked.status_code, let_in.status_code in (200, 404)) == (401, True)
            assert_untold(f"{asked.text} {asked.headers} {let_in.text} {let_in.headers}")
    assert_untold(f"{log.text} {password!r}")


# --- Commands -------------------------------------------------------------------------------------------

PROGRAM = """
import os
from lagoqueue import Worker
from lagoqueue_sql import SQLQueue

queue = SQLQueue(os.environ["DATABASE_URL"])
worker = Worker(queue, poll=0.1)
"""


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run `lagoqueue dashboard` in this process; return its exit code and what it says."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    kept = dict.fromkeys(("LAGOQUEUE_URL", "LAGOQUEUE_DASHBOARD_PASSWORD"))
    done = CliRunner().invoke(dashboard, arguments, env={**kept, **variables})
    return done.exit_code, done.output


@contextmanager
def process(*arguments: str, cwd: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run `lagoqueue` with all warnings on, until it ends; what it says goes to one pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAGOQUEUE_")}
    with subprocess.Popen(
        [sys.executable, "-W", "always", "-m", "lagoqueue", *arguments],
        cwd=cwd,
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def test_a_dashboard_that_cannot_connect(door: Door, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    url = _in_text(door.url, door.password)[0]
    told = [
        invoke(monkeypatch, LAGOQUEUE_URL=url),
        invoke(monkeypatch, "--url", _in_query(door.url, door.password)[0]),
        invoke(monkeypatch, "--url", url, "--table", "no such;table"),
        invoke(monkeypatch, "--url", url, "--port", "none"),
    ]
    assert [code for code, _ in told] == [1, 1, 2, 2]
    assert door.says in told[0][1]
    for _, says in told:
        assert_untold(says)
    assert_untold(log.text)


def test_the_process_of_a_dashboard_that_may_not_log_in(server: servers.Server, tmp_path: Path) -> None:
    door = _wrong_password(server)
    url = _in_text(door.url, door.password)[0]
    with process("dashboard", cwd=tmp_path, LAGOQUEUE_URL=url) as started:
        says, _ = started.communicate(timeout=60)
    assert started.returncode == 1
    assert door.says in says
    assert_untold(says)


def test_the_process_of_a_worker_that_may_not_log_in(server: servers.Server, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM)
    door = _wrong_password(server)
    url = _in_text(door.url, door.password)[0]
    with process("worker", "shop:worker", "--log-level", "debug", cwd=tmp_path, DATABASE_URL=url) as started:
        assert started.stdout is not None
        says = ""
        while "fetching jobs failed" not in says:
            line = started.stdout.readline()
            assert line, says
            says += line
        started.send_signal(signal.SIGTERM)
        says += started.communicate(timeout=60)[0]
    assert started.returncode == 0
    assert door.says in says
    assert_untold(says)
