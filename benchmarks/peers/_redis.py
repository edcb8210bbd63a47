"""A throwaway Redis with its built-in defaults, for the peers that need one."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 10.0
"""Seconds that it may take to start, or to end."""


class RedisMissing(Exception):
    """There is no redis-server on this machine; the message says how to install it."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a redis-server on a free port of 127.0.0.1, with its data in a temporary folder; yield its URL.

    Its settings are those of a redis-server without a configuration file: snapshots now and then, and no append-only
    file, so a crash loses minutes of jobs.

    Raises:
        RedisMissing: It is not installed.
        RuntimeError: It did not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise RedisMissing("there is no redis-server: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="lagoqueue-redis-") as folder:
        log = Path(folder) / "log"
        command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--logfile", str(log)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as server:
            try:
                _wait(server, port, log)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                server.send_signal(signal.SIGTERM)
                try:
                    server.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    server.kill()


def flush(url: str) -> None:
    """Empty the server, as a fresh database for each run."""
    host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
    _ask(int(port), b"FLUSHALL\r\n", host)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            _ask(port, b"PING\r\n")
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"redis-server did not start\n{log.read_text() if log.exists() else ''}")


def _ask(port: int, command: bytes, host: str = "127.0.0.1") -> None:
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        connection.sendall(command)
        answer = connection.recv(64)
    if not answer.startswith(b"+"):
        raise OSError(f"redis-server answered {answer!r}")
