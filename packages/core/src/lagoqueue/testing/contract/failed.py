"""The failed-jobs store: what `fail` puts there, and the ways out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidValue
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK, Failure
from lagoqueue.monitor.views import PAGE_SIZE
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Failing(Hooks):
    async def test_fail_removes_the_job_from_the_queue(self) -> None:
        """With a failed-jobs store or without."""
        queue = await self.fresh()
        await queue.fail(await self.reserve(queue), FAILURE)
        self.assertEqual(await queue.size(), 0)
        await self.assert_empty(queue)

    async def test_fail_records_the_job_and_why(self) -> None:
        """The job as it was delivered last, its label, and kind, error and traceback."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.push(make_job("a", queue="mail", payload=b"\x00\xff", headers={"k": "v"}, priority=3, attempts=2))
        before = self.now()
        await queue.fail(await queue.pop(labels=["mail"]), FAILURE)
        failed = await failed_jobs.get("a")
        self.assertEqual((failed.id, failed.queue), ("a", "mail"))
        self.assertEqual(
            (failed.kind, failed.error, failed.traceback), (FAILURE.kind, FAILURE.error, FAILURE.traceback)
        )
        job = failed.job
        self.assertEqual((job.id, job.name, job.payload), ("a", "Example", b"\x00\xff"))
        self.assertEqual((job.queue, job.headers, job.priority, job.attempts), ("mail", {"k": "v"}, 3, 3))
        self.assertLess(abs(failed.failed_at - before), timedelta(seconds=60))
        self.assertEqual(failed.failed_at.utcoffset(), timedelta(0))

    async def test_fail_without_a_failure_records_something(self) -> None:
        """A driver does not depend on being told why."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.fail(await self.reserve(queue))
        self.assertTrue((await failed_jobs.get("a")).error)

    async def test_the_longest_and_strangest_failure_is_kept(self) -> None:
        """Whatever `Failure.of` lets through."""
        queue, failed_jobs = await self.with_failed_jobs()
        failure = Failure("K\u00e9", "'\"\U0001f980%s\n" + "e" * (MAX_ERROR - 7), "\u2028" * MAX_TRACEBACK)
        await queue.fail(await self.reserve(queue), failure)
        failed = await failed_jobs.get("a")
        self.assertEqual(
            (failed.kind, failed.error, failed.traceback), (failure.kind, failure.error, failure.traceback)
        )

    async def test_record_takes_an_exception(self) -> None:
        """The seam for a worker whose driver has no failed-jobs store: recording by hand."""
        _, failed_jobs = await self.with_failed_jobs()
        await failed_jobs.record(make_job(), "mail", ValueError("no\x00such user \ud800"))
        failed = await failed_jobs.get("a")
        self.assertEqual((failed.queue, failed.kind), ("mail", "ValueError"))
        self.assertEqual(failed.error, "ValueError: no\\x00such user \\ud800")

    async def test_retry_brings_the_job_back(self) -> None:
        """Under its id and label, due now, with no attempts spent, and everything else as it was."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.push(make_job("a", queue="mail", payload=b"\x00\xff", headers={"k": "v"}, priority=3))
        await queue.fail(await queue.pop(labels=["mail"]), FAILURE)
        self.assertEqual((await failed_jobs.retry("a")).id, "a")
        self.assertEqual(await failed_jobs.count(), 0)
        self.assertEqual(await queue.size(labels=["mail"]), 1)
        job = await queue.pop(labels=["mail"])
        self.assertEqual((job.id, job.name, job.payload), ("a", "Example", b"\x00\xff"))
        self.assertEqual((job.headers, job.priority, job.attempts), ({"k": "v"}, 3, 1))
        await queue.ack(job)

    async def test_a_retried_job_is_due_now(self) -> None:
        """Also one that was delayed in its first life; and it goes behind what waits already."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.push(make_job("a", available_at=self.now() - timedelta(days=1)))
        await queue.fail(await queue.pop(), FAILURE)
        await queue.push(make_job("b"))
        await self.advance(self.tick)
        await failed_jobs.retry("a")
        self.assertEqual(await self.popped_ids(queue), ["b", "a"])

    async def test_retry_wakes_a_waiting_pop(self) -> None:
        """As a push does."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.fail(await self.reserve(queue), FAILURE)
        task = asyncio.create_task(queue.pop(600))
        await self.pause()
        await failed_jobs.retry("a")
        self.assertEqual((await self.soon(task)).id, "a")

    async def test_retry_is_refused_while_the_id_is_live(self) -> None:
        """The record is kept, and the live job left alone."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.fail(await self.reserve(queue, payload=b"old"), FAILURE)
        await queue.push(make_job(payload=b"new"))
        for state in ("waiting", "reserved"):
            with self.subTest(state):
                if state == "reserved":
                    self.assertEqual((await queue.pop()).payload, b"new")
                with self.assertRaises(DuplicateJob):
                    await failed_jobs.retry("a")
                self.assertEqual((await failed_jobs.get("a")).job.payload, b"old")

    async def test_a_job_that_fails_again_replaces_its_record(self) -> None:
        """One record an id: the last."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.fail(await self.reserve(queue, payload=b"old"), FAILURE)
        await queue.fail(await self.reserve(queue, payload=b"new"), Failure("KeyError", "KeyError: 1"))
        self.assertEqual(await failed_jobs.count(), 1)
        failed = await failed_jobs.get("a")
        self.assertEqual((failed.job.payload, failed.kind, failed.traceback), (b"new", "KeyError", ""))

    async def test_forget_drops_one_record(self) -> None:
        """And brings nothing back."""
        queue, failed_jobs = await self.with_failed_jobs()
        for job_id in "ab":
            await queue.fail(await self.reserve(queue, job_id), FAILURE)
        await failed_jobs.forget("a")
        self.assertEqual([failed.id for failed in await failed_jobs.list()], ["b"])
        self.assertEqual(await queue.size(), 0)

    async def test_flush_drops_every_record(self) -> None:
        """And says how many there were."""
        queue, failed_jobs = await self.with_failed_jobs()
        for job_id in "abc":
            await queue.fail(await self.reserve(queue, job_id), FAILURE)
        await queue.push(make_job("live"))
        self.assertEqual(await failed_jobs.flush(), 3)
        self.assertEqual(await failed_jobs.flush(), 0)
        self.assertEqual(await failed_jobs.count(), 0)
        self.assertEqual(await queue.size(), 1)

    async def test_what_is_not_there_is_not_found(self) -> None:
        """Never there, retried, forgotten; and a live job is not a failed one."""
        queue, failed_jobs = await self.with_failed_jobs()
        await queue.push(make_job("live"))
        for job_id in ("retried", "forgotten"):
            await queue.fail(await self.reserve(queue, job_id, priority=1), FAILURE)
        await failed_jobs.retry("retried")
        await failed_jobs.forget("forgotten")
        size = await queue.size()
        for job_id in ("never", "live", "retried", "forgotten", "", "'", "x" * 1_000):
            for act in (failed_jobs.get, failed_jobs.retry, failed_jobs.forget):
                with self.subTest(job_id, act=act.__name__), self.assertRaises(FailedJobNotFound) as caught:
                    await act(job_id)
                self.assertEqual(caught.exception.job_id, job_id)
        self.assertEqual(await queue.size(), size)

    async def test_pages_are_counted_from_one_and_newest_first(self) -> None:
        """Full pages, then the rest, then nothing; no record twice and none left out."""
        queue, failed_jobs = await self.with_failed_jobs()
        self.assertEqual(await failed_jobs.list(), [])
        ids = [f"{number:03}" for number in range(PAGE_SIZE + 3)]
        for job_id in ids[:-1]:
            await queue.fail(await self.reserve(queue, job_id), FAILURE)
        await self.advance(self.tick)
        await queue.fail(await self.reserve(queue, ids[-1]), FAILURE)
        pages = [[failed.id for failed in await failed_jobs.list(page)] for page in (1, 2, 3, 1_000)]
        self.assertEqual([len(page) for page in pages], [PAGE_SIZE, 3, 0, 0])
        self.assertEqual(pages[0][0], ids[-1])
        self.assertEqual(sorted(pages[0] + pages[1]), ids)
        self.assertEqual(await failed_jobs.count(), len(ids))

    async def test_a_page_is_a_whole_number_from_one(self) -> None:
        """Anything else is an error that names it, not an empty list."""
        _, failed_jobs = await self.with_failed_jobs()
        bad: list[Any] = [0, -1, 1.5, "1", None, float("nan")]
        for page in bad:
            with self.subTest(page), self.assertRaises(InvalidValue):
                await failed_jobs.list(page)
