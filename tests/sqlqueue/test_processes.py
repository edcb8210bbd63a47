"""Several processes on one database: every job is done once, and what they count adds up."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import Effects, Processes, each_database, push_all, totals

JOBS = {"sqlite": 20_000, "postgresql": 50_000, "mysql": 50_000}

database_url = each_database("sqlite", "postgresql", "mariadb")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_eight_processes_do_every_job_once(database_url: str, tmp_path: Path) -> None:
    effects = Effects(tmp_path / "effects")
    jobs = JOBS[database_url.partition("+")[0].partition(":")[0]]
    async with connect(database_url) as queue:
        await queue.setup()
        with Processes(tmp_path) as processes:
            workers = processes.work(database_url, effects, count=8, concurrency=4, prefetch=25)
            await push_all(queue, jobs)
            await effects.until(jobs, within=240)
            for worker in workers:
                worker.stop()
            assert [worker.errors for worker in workers] == [""] * 8
        effects.check(jobs)
        pids = Counter(done.pid for seen in effects.done.values() for done in seen)
        assert set(pids) == {worker.pid for worker in workers}
        assert (await queue.size(), await queue.failed_jobs.count()) == (0, 0)
    assert totals(database_url) == {"pushed": jobs, "processed": jobs, "failed": 0, "retried": 0}


@pytest.mark.slow
async def test_processes_that_contend_for_single_jobs_meet_no_error(database_url: str, tmp_path: Path) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
    with Processes(tmp_path) as processes:
        contenders = processes.start("contend", database_url, count=6, jobs=100)
        for contender in contenders:
            contender.tell()
        for contender in contenders:
            contender.expect("done")
            contender.ends()
            assert contender.errors == ""
    assert totals(database_url) == {"pushed": 600, "processed": 600, "failed": 0, "retried": 6 * 34}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_queue_that_was_used_before_a_fork_works_on_both_sides(database_url: str, tmp_path: Path) -> None:
    async with connect(database_url) as queue:
        await queue.setup()
    with Processes(tmp_path) as processes:
        (forking,) = processes.start("fork", database_url, jobs=5)
        forking.ends()
        assert forking.errors == ""
    assert totals(database_url) == {"pushed": 20, "processed": 20, "failed": 0, "retried": 0}
