"""Through a real pgbouncer in transaction mode, which hands every transaction another server connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

import servers
from lagoqueue import DriverError, Job, QueueEmpty, Worker, dispatch
from lagoqueue_sql import SQLQueue
from tests.sqlqueue.payloads import Effect


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database through a pooler with two server connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise servers.missing("pgbouncer is not installed: apt-get install pgbouncer")
    server = sa.make_url(postgres_url)
    port = servers.free_port()
    (tmp_path / "users.txt").write_text(f'"{server.username}" ""\n')
    (tmp_path / "pgbouncer.ini").write_text(
        "[databases]\n"
        f"* = host=127.0.0.1 port={server.port}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {tmp_path}/users.txt\n"
        "pool_mode = transaction\ndefault_pool_size = 2\n"
    )
    command = [program, str(tmp_path / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (tmp_path, *tmp_path.iterdir(), *list(tmp_path.parents)[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        command[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = server.set(port=port)
    try:
        _wait_for(url, process)
        yield url.render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: sa.URL, process: subprocess.Popen[bytes]) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for _ in range(100):
        try:
            with engine.connect():
                return
        except OperationalError:
            assert process.poll() is None, "pgbouncer did not start"
            time.sleep(0.05)
    raise AssertionError("pgbouncer did not answer within 5 s")


async def test_jobs_go_through_a_pooler_in_transaction_mode(pooled_url: str) -> None:
    async with SQLQueue(pooled_url, wakeup="poll", prepared_statements=False) as queue:
        await queue.setup()
        done: list[int] = []
        workers = [Worker(queue, concurrency=4, prefetch=8, max_retry=2, backoff=0) for _ in range(2)]
        for worker in workers:

            @worker.handle(Effect)
            async def effect(payload: Effect) -> None:
                done.append(payload.number)
                if payload.number == 7 and done.count(7) < 3:
                    raise ValueError("once more")

        async with SQLQueue(pooled_url, wakeup="poll", prepared_statements=False) as producer:
            for number in range(300):
                await dispatch(producer, Effect(number))
        for worker in workers:
            await worker.run(burst=True)
        assert sorted(set(done)) == list(range(300))
        assert [failed.job.attempts for failed in await queue.failed_jobs.list()] == [2]
        with pytest.raises(QueueEmpty):
            await queue.pop()


async def test_prepared_statements_behind_it_are_an_error_that_says_what_to_do(pooled_url: str) -> None:
    async with (
        SQLQueue(pooled_url, wakeup="poll", prepared_statements=False) as queue,
        SQLQueue(pooled_url, wakeup="poll") as one,
        SQLQueue(pooled_url, wakeup="poll") as two,
    ):
        await queue.setup()

        async def alternate() -> None:
            for number in range(50):
                await one.push(Job(f"one-{number}", "Example", b"{}"))
                await two.push(Job(f"two-{number}", "Example", b"{}"))

        with pytest.raises(DriverError, match="prepared_statements=False"):
            await alternate()
