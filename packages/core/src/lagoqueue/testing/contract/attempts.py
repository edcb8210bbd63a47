"""Attempts count deliveries, at the moment of reservation."""

from __future__ import annotations

from lagoqueue.testing.contract.hooks import Hooks, make_job


class Attempts(Hooks):
    async def test_the_first_delivery_is_attempt_one(self) -> None:
        """The popped job counts the delivery that it is."""
        queue = await self.fresh()
        self.assertEqual((await self.reserve(queue)).attempts, 1)

    async def test_attempts_count_from_what_was_pushed(self) -> None:
        """A job that is moved here from elsewhere keeps its count."""
        queue = await self.fresh()
        self.assertEqual((await self.reserve(queue, attempts=7)).attempts, 8)

    async def test_nack_spends_the_attempt(self) -> None:
        """Every delivery after a nack is one more."""
        queue = await self.fresh()
        await queue.push(make_job())
        for attempt in (1, 2, 3):
            job = await queue.pop()
            self.assertEqual(job.attempts, attempt)
            await queue.nack(job)

    async def test_an_expired_reservation_spends_the_attempt(self) -> None:
        """A job that kills its worker is counted, although nobody settled it."""
        queue, timeout = await self.expiring()
        await queue.push(make_job())
        for attempt in (1, 2, 3):
            self.assertEqual((await queue.pop()).attempts, attempt)
            await self.advance(timeout + self.tick)

    async def test_release_gives_the_attempt_back(self) -> None:
        """A released delivery does not count, whatever came before."""
        if not self.supports_release:
            self.skipTest("release spends the attempt on this driver")
        queue = await self.fresh()
        await queue.push(make_job())
        for _ in range(3):
            job = await queue.pop()
            self.assertEqual(job.attempts, 1)
            await queue.release(job)
        await queue.nack(await queue.pop())
        job = await queue.pop()
        self.assertEqual(job.attempts, 2)
        await queue.release(job)
        self.assertEqual((await queue.pop()).attempts, 2)

    async def test_extend_spends_nothing(self) -> None:
        """Staying alive is not another delivery."""
        queue = await self.fresh()
        job = await self.reserve(queue)
        for _ in range(3):
            await queue.extend(job)
        await queue.nack(job)
        self.assertEqual((await queue.pop()).attempts, 2)

    async def test_pop_many_counts_every_job(self) -> None:
        """A batch is so many deliveries."""
        queue = await self.fresh()
        await queue.push_many([make_job("a"), make_job("b", attempts=4)])
        self.assertEqual([job.attempts for job in await queue.pop_many(2)], [1, 5])
