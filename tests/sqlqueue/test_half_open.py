"""A connection goes silent, or breaks after the server has done what it was asked and before that is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from lagoqueue import DriverError, Job, OutcomeUnknown, QueueEmpty, ReservationLost
from lagoqueue_sql import SQLQueue
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from tests.proxy import Proxy
from tests.sqlqueue.load import Load
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import PATIENCE, Effects, Processes, each_database, push_all, totals

TIMEOUT = 1.0
GRACE = 1.0

CONNECTING = 5.0
"""Seconds that two tries to connect in vain may take: PostgreSQL's are given two each."""

LONGEST_PAUSE = 5.0
"""Seconds that a worker waits before it tries again, at most."""

database_url = each_database("postgresql", "mariadb")


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    port = sa.make_url(database_url).port
    assert port is not None
    with Proxy("127.0.0.1", port) as proxy:
        yield proxy


@pytest.fixture
def proxied(database_url: str, proxy: Proxy) -> str:
    """The URL of the same database, through the proxy."""
    return sa.make_url(database_url).set(port=proxy.port).render_as_string(hide_password=False)


async def test_calls_that_wait_while_nobody_answers_fail_together(proxied: str, proxy: Proxy) -> None:
    async with connect(proxied, timeout=TIMEOUT) as queue:
        await queue.setup()
        await queue.size()
        await asyncio.to_thread(proxy.half_open)
        began = time.monotonic()
        outcomes = await asyncio.gather(*[queue.size() for _ in range(6)], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DriverError] * 6
        assert time.monotonic() - began < TIMEOUT + CONNECTING
        await asyncio.to_thread(proxy.restore)
        assert await queue.size() == 0


async def test_a_worker_whose_connections_went_silent_goes_on_over_new_ones(proxied: str, proxy: Proxy) -> None:
    async with connect(proxied, timeout=TIMEOUT) as queue:
        await queue.setup()
        load = Load(queue)
        async with load.working():
            await load.push_for(0.3)
            await asyncio.to_thread(proxy.half_open)
            began = time.monotonic()
            with pytest.raises(DriverError):  # of an unknown outcome, unless the worker's own calls noticed it first
                await queue.push(Job("lost", "Example", b"{}"))
            noticed = time.monotonic() - began
            await asyncio.to_thread(proxy.restore)
            began = time.monotonic()
            await load.push_for(0.3)
            await load.drained()
            back = time.monotonic() - began
        print(f"noticed after {noticed:.1f} s, back after {back:.1f} s")
        assert noticed < TIMEOUT + CONNECTING
        assert back < TIMEOUT + CONNECTING + LONGEST_PAUSE
        load.check()


@pytest.mark.slow
async def test_a_process_that_is_told_to_stop_while_its_connection_is_silent_ends(
    database_url: str, proxied: str, proxy: Proxy, tmp_path: Path
) -> None:
    effects = Effects(tmp_path / "effects")
    jobs = 50
    async with connect(database_url) as queue:
        await queue.setup()
        await push_all(queue, jobs)
        with Processes(tmp_path) as processes:
            (process,) = processes.work(
                proxied, effects, sleep=0.1, queue={"timeout": TIMEOUT}, concurrency=2, prefetch=4, grace=GRACE
            )
            await effects.until(4)
            await asyncio.to_thread(proxy.half_open)
            began = time.monotonic()
            await asyncio.to_thread(process.stop)
            took = time.monotonic() - began
            print(f"ended after {took:.1f} s", process.errors, sep="\n")
            assert took < GRACE + 8
            assert "Traceback" not in process.errors


async def test_a_push_whose_answer_was_lost_is_stored_once(database_url: str, proxied: str, proxy: Proxy) -> None:
    async with connect(proxied) as queue:
        await queue.setup()
        job = Job("the-job", "Example", b"{}")
        cut = await asyncio.to_thread(proxy.cut_after, b"the-job")
        with pytest.raises(OutcomeUnknown, match="exist_ok"):
            await queue.push(job)
        assert cut.is_set()
        assert not await queue.push(job, exist_ok=True)
        assert await queue.size() == 1


@pytest.mark.parametrize("action", ["ack", "nack", "release", "fail"])
async def test_a_settlement_whose_answer_was_lost_counts(
    database_url: str, proxied: str, proxy: Proxy, action: str
) -> None:
    async with connect(proxied) as queue:
        await queue.setup()
        await queue.push(Job("the-job", "Example", b"{}"))
        job = await queue.pop()
        cut = await asyncio.to_thread(proxy.cut_after, b"the-job")
        await getattr(queue, action)(job)
        assert cut.is_set()
        back = action in ("nack", "release")
        assert (await queue.size(), await queue.failed_jobs.count()) == (int(back), int(action == "fail"))
        if back:
            assert (await queue.pop()).attempts == (1 if action == "release" else 2)
    counted = {"ack": "processed", "nack": "retried", "fail": "failed"}
    nothing = {"pushed": 1, "processed": 0, "failed": 0, "retried": 0}
    assert totals(database_url) == (nothing | {counted[action]: 1} if action in counted else nothing)


@pytest.mark.parametrize("action", ["ack", "fail"])
async def test_a_settlement_that_was_not_answered_for_so_long_that_another_had_the_job_is_lost(
    database_url: str, proxied: str, proxy: Proxy, action: str
) -> None:
    settings = {"timeout": TIMEOUT, "visibility_timeout": 2 * TIMEOUT}
    async with connect(database_url, **settings) as other, connect(proxied, **settings) as queue:
        await other.setup()
        await other.push(Job("the-job", "Example", b"{}"))
        job = await queue.pop()
        await asyncio.to_thread(proxy.half_open)
        with pytest.raises(DriverError):
            await getattr(queue, action)(job)
        await other.ack(await other.pop(PATIENCE))  # once the reservation has expired
        await asyncio.to_thread(proxy.restore)
        with pytest.raises(ReservationLost):
            await getattr(queue, action)(job)
        assert await other.failed_jobs.count() == 0
    assert totals(database_url) == {"pushed": 1, "processed": 1, "failed": 0, "retried": 0}


@pytest.mark.parametrize("action", ["nack", "release"])
async def test_what_is_put_back_after_the_reservation_was_over_is_refused_over_a_new_connection_too(
    database_url: str, proxied: str, proxy: Proxy, action: str
) -> None:
    async with (
        connect(database_url, visibility_timeout=0.1) as other,
        connect(proxied, visibility_timeout=0.1) as queue,
    ):
        await queue.setup()
        await queue.push(Job("the-job", "Example", b"{}"))
        job = await queue.pop()
        await until_let_go(other)
        await asyncio.to_thread(proxy.reset)  # so what is asked next is asked twice
        with pytest.raises(ReservationLost):
            await getattr(queue, action)(job, 60)
        assert (await other.pop()).attempts == 2


async def until_let_go(queue: SQLQueue) -> None:
    """Wait until the reservation of the only job has expired, and look for such, without claiming any job."""
    deadline = time.monotonic() + PATIENCE
    while await queue.size() == 0:
        assert time.monotonic() < deadline
        with suppress(QueueEmpty):
            await queue.pop(0.05, labels=["another"])


async def test_jobs_whose_claim_was_not_answered_come_back_at_once(
    database_url: str, proxied: str, proxy: Proxy
) -> None:
    async with connect(database_url) as producer, connect(proxied) as queue:
        await producer.setup()
        await producer.push_many([Job(f"job-{number}", "Example", b"{}") for number in range(10)])
        await queue.size()
        cut = await asyncio.to_thread(proxy.cut_after, b"SET reserved_at = ")
        began = time.monotonic()
        jobs = await queue.pop_many(10)
        assert cut.is_set()
        assert [(job.id, job.attempts) for job in jobs] == [(f"job-{number}", 1) for number in range(10)]
        assert time.monotonic() - began < 1
        assert await queue.settle([]) == []
        for job in jobs:
            await queue.ack(job)


async def test_a_claim_that_reaches_the_server_late_is_taken_back(
    database_url: str, proxied: str, proxy: Proxy
) -> None:
    async with connect(database_url) as producer, connect(proxied, timeout=TIMEOUT) as queue:
        await producer.setup()
        with pytest.raises(QueueEmpty):  # its first look is behind it
            await queue.pop()
        await producer.push(Job("a", "Example", b"{}"))
        await asyncio.to_thread(proxy.pause)
        with pytest.raises(DriverError):
            await queue.pop()
        await asyncio.to_thread(proxy.resume)
        job = await queue.pop(PATIENCE)
        assert (job.id, job.attempts) == ("a", 1)
        await queue.ack(job)


async def test_what_a_silent_connection_had_locked_is_free_soon(database_url: str, proxied: str, proxy: Proxy) -> None:
    def fall_silent(link: Link) -> None:
        assert link.rows("SELECT id FROM jobs FOR UPDATE", {})
        proxy.half_open()
        link.rows("SELECT 1", {})

    async with connect(database_url, timeout=TIMEOUT) as direct, connect(proxied, timeout=TIMEOUT) as queue:
        await direct.setup()
        await direct.push(Job("a", "Example", b"{}"))
        job = await direct.pop()
        with pytest.raises(OutcomeUnknown):
            await queue._thread.run(lambda store: store.run(fall_silent, Mode.ATOMIC))
        began = time.monotonic()
        while True:  # the server still believes that the client is there
            try:
                await direct.ack(job)
                break
            except DriverError:
                assert time.monotonic() - began < 5 * TIMEOUT
        print(f"free after {time.monotonic() - began:.1f} s")
