"""An id is live once."""

from __future__ import annotations

from lagoqueue.errors import DuplicateJob
from lagoqueue.queue import Queue
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Duplicates(Hooks):
    async def refuses(self, queue: Queue, job_id: str = "a") -> None:
        """Pushing the live id raises, or is ignored on request."""
        size = await queue.size()
        with self.assertRaises(DuplicateJob) as caught:
            await queue.push(make_job(job_id, payload=b"other", priority=9))
        self.assertEqual(caught.exception.job_id, job_id)
        self.assertIs(await queue.push(make_job(job_id, payload=b"other"), delay=60, exist_ok=True), False)
        self.assertIs(await queue.push(make_job(job_id, payload=b"other", queue="elsewhere"), exist_ok=True), False)
        self.assertEqual(await queue.size(), size)
        self.assertEqual(await queue.size(labels=["elsewhere"]), 0)

    async def test_exist_ok_stores_a_job_whose_id_is_free(self) -> None:
        """Asking to ignore duplicates changes nothing where there is none."""
        queue = await self.fresh()
        self.assertIs(await queue.push(make_job(), exist_ok=True), True)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_a_waiting_id_is_live(self) -> None:
        """The job that waits stays as it was."""
        queue = await self.fresh()
        await queue.push(make_job(payload=b"first"))
        await self.refuses(queue)
        self.assertEqual((await queue.pop()).payload, b"first")

    async def test_a_delayed_id_is_live(self) -> None:
        """The delayed job stays as it was, and delayed."""
        queue = await self.fresh()
        await queue.push(make_job(payload=b"first"), delay=2 * self.tick)
        await self.refuses(queue)
        await self.assert_empty(queue)
        await self.advance(3 * self.tick)
        self.assertEqual((await queue.pop()).payload, b"first")

    async def test_a_reserved_id_is_live(self) -> None:
        """The reservation stays as it was."""
        queue = await self.fresh()
        job = await self.reserve(queue, payload=b"first")
        await self.refuses(queue)
        await self.assert_empty(queue)
        await queue.ack(job)

    async def test_a_returned_id_is_live(self) -> None:
        """A job that was given back is the one that comes again."""
        queue = await self.fresh()
        await queue.nack(await self.reserve(queue, payload=b"first"))
        await self.refuses(queue)
        self.assertEqual((await queue.pop()).payload, b"first")

    async def test_an_id_is_free_after_ack(self) -> None:
        """What is done may be pushed again, as a new job."""
        queue = await self.fresh()
        await queue.ack(await self.reserve(queue, payload=b"first"))
        self.assertIs(await queue.push(make_job(payload=b"second")), True)
        job = await queue.pop()
        self.assertEqual((job.payload, job.attempts), (b"second", 1))

    async def test_an_id_is_free_after_burial(self) -> None:
        """A failed job does not stop a new one of its id, nor is its record touched by that."""
        queue = await self.fresh()
        await queue.fail(await self.reserve(queue, payload=b"first"), FAILURE)
        self.assertIs(await queue.push(make_job(payload=b"second")), True)
        self.assertEqual((await queue.pop()).payload, b"second")
        if queue.failed_jobs is not None:
            self.assertEqual((await queue.failed_jobs.get("a")).job.payload, b"first")
