"""A pop that is cancelled loses no job, and keeps none from the others."""

from __future__ import annotations

import asyncio

from lagoqueue.errors import QueueEmpty
from lagoqueue.job import Job
from lagoqueue.queue import Queue
from lagoqueue.testing.contract.hooks import Hooks, make_job

TURNS = (0, 1, 2, 3, 5, 8)
"""Turns of the event loop between a push and the cancellation."""


class Cancellation(Hooks):
    async def open_for_cancelling(self) -> tuple[Queue, float]:
        """A cancelled pop may leave a reservation, if that one comes back by itself."""
        return await self.expiring() if self.supports_expiry else (await self.fresh(), 0.0)

    async def cancel(self, task: asyncio.Task[Job]) -> Job | None:
        """Cancel a pop; return the job if it had one already."""
        task.cancel()
        await asyncio.wait([task], timeout=self.patience)
        self.assertTrue(task.done(), "a cancelled pop did not end")
        return None if task.cancelled() else task.result()

    async def next_job(self, queue: Queue, timeout: float) -> Job:
        """Pop the job that must be there, at the latest once a left reservation has expired."""
        try:
            return await queue.pop()
        except QueueEmpty:
            await self.advance(timeout + self.tick)
            return await queue.pop()

    async def test_a_cancelled_pop_ends_at_once(self) -> None:
        """Waiting is over when the caller says so, and the queue goes on."""
        queue = await self.fresh()
        task = asyncio.create_task(queue.pop(600))
        await self.pause()
        self.assertIsNone(await self.cancel(task))
        await queue.push(make_job())
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_a_pop_cancelled_while_a_job_arrives_loses_nothing(self) -> None:
        """Either the pop returns the job all the same, or the next one gets it."""
        for turns in TURNS:
            with self.subTest(turns=turns):
                queue, timeout = await self.open_for_cancelling()
                task = asyncio.create_task(queue.pop(600))
                await self.pause()
                await queue.push(make_job())
                for _ in range(turns):
                    await asyncio.sleep(0)
                job = await self.cancel(task) or await self.next_job(queue, timeout)
                self.assertEqual(job.id, "a")
                await queue.ack(job)
                await self.assert_empty(queue)

    async def test_a_cancelled_pop_passes_its_wake_up_on(self) -> None:
        """Another pop that waits gets the job which woke the cancelled one."""
        for turns in TURNS:
            with self.subTest(turns=turns):
                queue, timeout = await self.open_for_cancelling()
                first = asyncio.create_task(queue.pop(600))
                await self.pause()
                second = asyncio.create_task(queue.pop(600))
                await self.pause()
                await queue.push(make_job("a"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                job = await self.cancel(first)
                if job is not None:  # it was too late to cancel: the second one still waits
                    await queue.push(make_job("b"))
                elif await queue.size() == 0 and not second.done():
                    await self.pause()
                    if not second.done():
                        await self.advance(timeout + self.tick)
                self.assertEqual((await self.soon(second)).id, "b" if job else "a")

    async def test_a_cancelled_pop_passes_on_the_wake_up_of_every_label(self) -> None:
        """Whoever waits on one of its labels is not forgotten."""
        queue, timeout = await self.open_for_cancelling()
        first = asyncio.create_task(queue.pop(600, labels=["x", "y"]))
        await self.pause()
        others = [asyncio.create_task(queue.pop(600, labels=[label])) for label in "xy"]
        await self.pause()
        await queue.push(make_job("x", queue="x"))
        job = await self.cancel(first)
        await queue.push(make_job("y", queue="y"))
        if job is not None:
            await queue.push(make_job("another x", queue="x"))
        await self.pause()
        if not all(task.done() for task in others):
            await self.advance(timeout + self.tick)
        jobs = await self.soon(asyncio.gather(*others))
        self.assertEqual([job.queue for job in jobs], ["x", "y"])

    async def test_many_cancelled_pops_leave_all_jobs(self) -> None:
        """Pops that are cancelled at random moments while jobs arrive: each job is somewhere."""
        queue, timeout = await self.open_for_cancelling()
        ids = [f"{number:03}" for number in range(40)]
        found: list[str] = []
        for number, job_id in enumerate(ids):
            task = asyncio.create_task(queue.pop(600))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            await queue.push(make_job(job_id))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            job = await self.cancel(task)
            if job is not None:
                found.append(job.id)
                await queue.ack(job)
        found += await self.popped_ids(queue)
        if len(found) < len(ids):
            await self.advance(timeout + self.tick)
            found += await self.popped_ids(queue)
        self.assertEqual(sorted(found), ids)
