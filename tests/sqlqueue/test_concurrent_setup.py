"""Many processes that start at once may all call setup."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lagoqueue import Job
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import Processes, each_database

database_url = each_database("sqlite", "postgresql", "mariadb")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_twenty_processes_set_up_one_database_at_once(database_url: str, tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        (forking,) = processes.start("set_up", database_url, processes=20)
        forking.tell()
        forking.expect("20")
        forking.ends()
    async with connect(database_url) as queue:
        assert await queue.push(Job("a", "Example", b"{}"))


async def test_twenty_threads_set_up_one_database_at_once(database_url: str) -> None:
    queues = [connect(database_url) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        for done in [pool.submit(queue.setup_sync) for queue in queues]:
            done.result()
    assert await queues[0].push(Job("a", "Example", b"{}"))
    for queue in queues:
        await queue.close()
