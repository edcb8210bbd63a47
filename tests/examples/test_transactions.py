"""The sign-ups of `examples/transactions`, as they run: a server, requests, a worker, and what the database holds then."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

SERVERS = {
    "fastapi": [sys.executable, "-m", "uvicorn", "transactions.fastapi_app:app", "--port"],
    "flask": [sys.executable, "-m", "flask", "--app", "transactions.flask_app", "run", "--port"],
    "django": [sys.executable, "-m", "transactions.django_app", "runserver", "--noreload"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows(database: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(database)
    found = [row[0] for row in connection.execute(statement)]
    connection.close()
    return found


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running server, and its database."""
    port = free_port()
    database = tmp_path / "shop.db"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*SERVERS[request.param], str(port)],
            cwd=EXAMPLES,
            env={**os.environ, "DATABASE": str(database)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url, process)
        yield url, database
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print((tmp_path / "log").read_text())


def test_a_user_and_the_welcome_come_together_or_not_at_all(served: tuple[str, Path]) -> None:
    url, database = served
    assert httpx.post(f"{url}/users/ada@example.org").status_code == 201
    assert httpx.post(f"{url}/users/bob@example.org").status_code == 201
    assert httpx.post(f"{url}/users/ada@example.org").status_code == 409
    assert rows(database, "SELECT address FROM users ORDER BY 1") == ["ada@example.org", "bob@example.org"]
    assert rows(database, "SELECT count(*) FROM jobs") == [2]

    worker = subprocess.Popen(
        [sys.executable, "-m", "transactions.welcome", f"sqlite:///{database}"], cwd=EXAMPLES, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 40
    while rows(database, "SELECT count(*) FROM outbox") != [2] and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0, errors.decode()
    assert rows(database, "SELECT address FROM outbox ORDER BY id") == ["ada@example.org", "bob@example.org"]
    assert rows(database, "SELECT count(*) FROM jobs") == [0]
