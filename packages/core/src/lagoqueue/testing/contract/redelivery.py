"""A job whose worker died is delivered again; a reservation that is kept alive stays."""

from __future__ import annotations

from lagoqueue.errors import QueueEmpty
from lagoqueue.queue import Queue
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Redelivery(Hooks):
    async def test_a_reservation_lasts_for_the_visibility_timeout(self) -> None:
        """Before it has passed, the job is the holder's alone."""
        queue, timeout = await self.expiring()
        job = await self.reserve(queue)
        await self.advance(timeout / 2)
        await self.assert_empty(queue)
        await queue.ack(job)

    async def test_an_expired_job_is_delivered_again(self) -> None:
        """The same job, after the visibility timeout, without anybody's doing."""
        queue, timeout = await self.expiring()
        await self.reserve(queue, payload=b"x", headers={"k": "v"}, priority=2)
        await self.advance(timeout + self.tick)
        job = await queue.pop()
        self.assertEqual((job.id, job.payload, job.headers, job.priority), ("a", b"x", {"k": "v"}, 2))
        await queue.ack(job)
        await self.advance(timeout + self.tick)
        await self.assert_empty(queue)

    async def test_every_expired_job_is_delivered_again(self) -> None:
        """A worker that held many loses none of them."""
        queue, timeout = await self.expiring()
        ids = [f"{number:03}" for number in range(60)]
        await queue.push_many([make_job(job_id) for job_id in ids])
        self.assertEqual(len(await queue.pop_many(60)), 60)
        await self.advance(timeout + self.tick)
        self.assertEqual(sorted(await self.popped_ids(queue)), ids)

    async def test_expired_jobs_come_under_their_own_label(self) -> None:
        """Recovery moves nothing between labels."""
        queue, timeout = await self.expiring()
        await queue.push(make_job(queue="mail"))
        await queue.pop(labels=["mail"])
        await self.advance(timeout + self.tick)
        await self.assert_empty(queue)
        self.assertEqual((await queue.pop(labels=["mail"])).queue, "mail")

    async def test_extend_moves_the_expiry(self) -> None:
        """A full visibility timeout from now, as often as one asks."""
        queue, timeout = await self.expiring()
        job = await self.reserve(queue)
        for _ in range(3):
            await self.advance(timeout / 2)
            await queue.extend(job)
        await self.assert_empty(queue)
        await self.advance(timeout / 2)
        await self.assert_empty(queue)
        await queue.ack(job)

    async def test_an_extended_reservation_expires_as_well(self) -> None:
        """It is put off, not made eternal."""
        queue, timeout = await self.expiring()
        job = await self.reserve(queue)
        await self.advance(timeout / 2)
        await queue.extend(job)
        await self.advance(timeout + self.tick)
        self.assertEqual((await queue.pop()).id, "a")

    async def test_extend_helps_one_job_only(self) -> None:
        """The others of the same worker expire as they would."""
        queue, timeout = await self.expiring()
        await queue.push_many([make_job("kept"), make_job("left")])
        kept, _ = await queue.pop_many(2)
        await self.advance(timeout * 0.75)
        await queue.extend(kept)
        await self.advance(timeout * 0.25 + self.tick)
        self.assertEqual(await self.popped_ids(queue), ["left"])
        await queue.ack(kept)

    async def test_a_settled_reservation_does_not_expire(self) -> None:
        """Nothing of an old reservation touches what became of the job."""
        queue, timeout = await self.expiring()
        await queue.nack(await self.reserve(queue, "delayed"), 100 * timeout)
        await queue.release(await self.reserve(queue, "released"), 100 * timeout)
        await queue.fail(await self.reserve(queue, "failed"), FAILURE)
        await queue.ack(await self.reserve(queue, "done"))
        await self.advance(timeout + self.tick)
        await self.assert_empty(queue)
        self.assertEqual(await queue.size(), 2)

    async def test_a_second_reservation_has_its_own_expiry(self) -> None:
        """The expiry of the first does not end the second."""
        queue, timeout = await self.expiring()
        first = await self.reserve(queue)
        await self.advance(timeout * 0.5)
        await queue.nack(first)
        second = await queue.pop()
        await self.advance(timeout * 0.5 + self.tick)
        await self.assert_empty(queue)
        await queue.ack(second)

    async def test_waiting_jobs_survive_reopening(self) -> None:
        """What was pushed is there, in order and as due as it was."""
        queue = await self.fresh()
        await queue.push(make_job("second"))
        await queue.push(make_job("first", priority=1, payload=b"\x00\xff", headers={"k": "v"}))
        await queue.push(make_job("delayed"), delay=600)
        reopened = await self.reopened(queue)
        self.assertEqual(await reopened.size(), 3)
        job = await reopened.pop()
        self.assertEqual((job.id, job.payload, job.headers), ("first", b"\x00\xff", {"k": "v"}))
        await reopened.ack(job)
        self.assertEqual(await self.popped_ids(reopened), ["second"])

    async def test_reserved_jobs_survive_reopening(self) -> None:
        """They come back with their attempt counted, and the old receipt is worth nothing then."""
        queue, timeout = await self.expiring()
        old = await self.reserve(queue)
        reopened = await self.reopened(queue)
        await self.advance(timeout + self.tick)
        job = await reopened.pop()
        self.assertEqual((job.id, job.attempts), ("a", 2))
        self.assertNotEqual(job.receipt, old.receipt)
        await reopened.ack(job)

    async def test_settled_jobs_stay_settled_after_reopening(self) -> None:
        """What is done is done, and what failed is in the failed-jobs store."""
        queue = await self.fresh()
        await queue.ack(await self.reserve(queue, "done"))
        await queue.fail(await self.reserve(queue, "failed"), FAILURE)
        reopened = await self.reopened(queue)
        with self.assertRaises(QueueEmpty):
            await reopened.pop()
        if reopened.failed_jobs is not None:
            self.assertEqual([failed.id for failed in await reopened.failed_jobs.list()], ["failed"])

    async def reopened(self, queue: Queue) -> Queue:
        reopened = await self.reopen(queue)
        if reopened is None:
            self.skipTest("nothing of this driver survives reopening")
        self.addAsyncCleanup(reopened.close)
        return reopened
