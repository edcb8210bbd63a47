"""`pop(wait)`: how long it waits and what ends the wait."""

from __future__ import annotations

import asyncio

from lagoqueue.errors import QueueEmpty
from lagoqueue.job import Job
from lagoqueue.queue import Queue
from lagoqueue.testing.contract.hooks import Hooks, make_job

LONG = 600.0
"""Seconds of a wait that must be ended by something else."""


class Waiting(Hooks):
    async def waiter(self, queue: Queue, wait: float = LONG) -> asyncio.Task[Job]:
        """Start a pop that waits."""
        task = asyncio.create_task(queue.pop(wait))

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task], timeout=self.patience)

        self.addAsyncCleanup(end)
        await self.pause()
        self.assertFalse(task.done(), "pop(wait) did not wait on an empty queue")
        return task

    async def test_pop_does_not_wait_unless_asked(self) -> None:
        """An empty queue raises `QueueEmpty` without the store's time passing."""
        queue = await self.fresh()
        with self.assertRaises(QueueEmpty):
            await self.soon(queue.pop())
        with self.assertRaises(QueueEmpty):
            await self.soon(queue.pop_many(10))

    async def test_a_delayed_job_leaves_the_queue_empty_for_pop(self) -> None:
        """What is not due does not end the wait."""
        queue = await self.fresh()
        await queue.push(make_job(), delay=LONG)
        with self.assertRaises(QueueEmpty):
            await self.soon(queue.pop())

    async def test_pop_raises_queue_empty_after_its_wait_and_not_before(self) -> None:
        """The wait is kept, in the store's time."""
        queue = await self.fresh()
        task = await self.waiter(queue, wait=6 * self.tick)
        await self.advance(2 * self.tick)
        self.assertFalse(task.done(), "pop gave up long before its wait was over")
        await self.advance(5 * self.tick)
        with self.assertRaises(QueueEmpty):
            await self.soon(task)

    async def test_pop_takes_a_due_job_at_once_however_long_it_may_wait(self) -> None:
        """Waiting is for an empty queue."""
        queue = await self.fresh()
        await queue.push(make_job())
        self.assertEqual((await self.soon(queue.pop(LONG))).id, "a")

    async def test_a_push_wakes_a_waiting_pop(self) -> None:
        """The wait ends with the push, long before it is over."""
        queue = await self.fresh()
        task = await self.waiter(queue)
        await queue.push(make_job())
        self.assertEqual((await self.soon(task)).id, "a")

    async def test_every_push_wakes_a_waiting_pop(self) -> None:
        """As many waiting pops as jobs pushed get one each."""
        queue = await self.fresh()
        tasks = [await self.waiter(queue) for _ in range(3)]
        await queue.push_many([make_job(job_id) for job_id in "abc"])
        jobs = await self.soon(asyncio.gather(*tasks))
        self.assertEqual(sorted(job.id for job in jobs), ["a", "b", "c"])

    async def test_a_job_that_comes_due_wakes_a_waiting_pop(self) -> None:
        """Whether it was delayed before the pop began to wait or after."""
        for when in ("before", "after"):
            with self.subTest(when):
                queue = await self.fresh()
                if when == "before":
                    await queue.push(make_job(), delay=2 * self.tick)
                task = await self.waiter(queue)
                if when == "after":
                    await queue.push(make_job(), delay=2 * self.tick)
                await self.advance(3 * self.tick)
                self.assertEqual((await self.soon(task)).id, "a")

    async def test_an_earlier_job_wakes_a_pop_that_waits_for_a_later_one(self) -> None:
        """The moment to wake at is found anew with every push."""
        queue = await self.fresh()
        await queue.push(make_job("later"), delay=LONG / 2)
        task = await self.waiter(queue)
        await queue.push(make_job("sooner"), delay=2 * self.tick)
        await self.advance(3 * self.tick)
        self.assertEqual((await self.soon(task)).id, "sooner")

    async def test_a_returned_job_wakes_a_waiting_pop(self) -> None:
        """`nack` and `release` wake as a push does."""
        for action in ("nack", "release"):
            with self.subTest(action):
                queue = await self.fresh()
                job = await self.reserve(queue)
                task = await self.waiter(queue)
                await (queue.nack(job) if action == "nack" else queue.release(job))
                self.assertEqual((await self.soon(task)).id, "a")

    async def test_an_expired_reservation_wakes_a_waiting_pop(self) -> None:
        """A job whose worker died comes to whoever waits already."""
        queue, timeout = await self.expiring()
        await self.reserve(queue)
        task = await self.waiter(queue)
        await self.advance(timeout + self.tick)
        self.assertEqual((await self.soon(task)).id, "a")

    async def test_pop_many_wakes_with_what_is_there(self) -> None:
        """It waits for the first job only, not for its limit."""
        queue = await self.fresh()
        task = asyncio.create_task(queue.pop_many(10, LONG))
        await self.pause()
        await queue.push(make_job())
        self.assertEqual([job.id for job in await self.soon(task)], ["a"])
