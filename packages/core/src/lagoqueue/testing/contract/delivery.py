"""A job is pushed, reserved, settled and gone."""

from __future__ import annotations

from lagoqueue.testing.contract.hooks import Hooks, make_job


class Delivery(Hooks):
    async def test_push_returns_true_when_the_job_is_stored(self) -> None:
        """`push` says that it stored the job, and the job waits."""
        queue = await self.fresh()
        self.assertIs(await queue.push(make_job()), True)
        self.assertEqual(await queue.size(), 1)

    async def test_a_popped_job_is_reserved(self) -> None:
        """A reserved job is no longer delivered, nor counted, and carries a receipt."""
        queue = await self.fresh()
        await queue.push(make_job())
        job = await queue.pop()
        self.assertTrue(job.receipt)
        self.assertEqual(await queue.size(), 0)
        await self.assert_empty(queue)

    async def test_ack_removes_the_job(self) -> None:
        """An acknowledged job never comes back, however long one waits."""
        queue, timeout = await self.expiring() if self.supports_expiry else (await self.fresh(), 0.0)
        await queue.ack(await self.reserve(queue))
        self.assertEqual(await queue.size(), 0)
        await self.advance(timeout + self.tick)
        await self.assert_empty(queue)

    async def test_nack_returns_the_job(self) -> None:
        """A job that was given back is delivered again, the same in all that was pushed."""
        queue = await self.fresh()
        first = await self.reserve(queue, payload=b"\x00\xff", priority=3, headers={"k": "v"})
        await queue.nack(first)
        self.assertEqual(await queue.size(), 1)
        second = await queue.pop()
        self.assertEqual(
            (second.id, second.name, second.payload, second.queue, second.priority, second.headers),
            (first.id, first.name, b"\x00\xff", first.queue, 3, {"k": "v"}),
        )
        await queue.ack(second)

    async def test_release_returns_the_job(self) -> None:
        """A released job is delivered again, and its new reservation is a whole one."""
        queue = await self.fresh()
        await queue.release(await self.reserve(queue))
        self.assertEqual(await queue.size(), 1)
        await queue.ack(await queue.pop())
        await self.assert_empty(queue)

    async def test_an_unsettled_job_holds_nobody_up(self) -> None:
        """Jobs behind a reserved one are delivered, and settled in any order."""
        queue = await self.fresh()
        await queue.push_many([make_job("a"), make_job("b"), make_job("c")])
        a, b, c = [await queue.pop() for _ in range(3)]
        self.assertEqual([a.id, b.id, c.id], ["a", "b", "c"])
        for job in (b, c, a):
            await queue.ack(job)
        self.assertEqual(await queue.size(), 0)

    async def test_size_counts_what_waits(self) -> None:
        """Due and delayed jobs count, reserved ones do not, returned ones do again."""
        queue = await self.fresh()
        self.assertEqual(await queue.size(), 0)
        await queue.push(make_job("due"))
        await queue.push(make_job("delayed"), delay=600)
        self.assertEqual(await queue.size(), 2)
        job = await queue.pop()
        self.assertEqual(await queue.size(), 1)
        await queue.nack(job, 600)
        self.assertEqual(await queue.size(), 2)

    async def test_the_queue_is_a_context_manager(self) -> None:
        """`async with` gives the queue itself, usable inside."""
        queue = await self.fresh()
        async with queue as entered:
            self.assertIs(entered, queue)
            await queue.push(make_job())
            self.assertEqual((await queue.pop()).id, "a")
