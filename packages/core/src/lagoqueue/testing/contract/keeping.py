"""The keeper: reservations kept alive from a thread that is not the event loop's."""

from __future__ import annotations

import asyncio

from lagoqueue.queue import Keeper, Queue, WorkerInfo
from lagoqueue.testing.contract.hooks import Hooks, make_job


class Keeping(Hooks):
    def keeper_of(self, queue: Queue, info: WorkerInfo | None = None) -> Keeper:
        keeper = queue.keeper(info)
        if keeper is None:
            self.assertFalse(self.supports_expiry, "a driver whose reservations expire must have a keeper")
            self.skipTest("this driver has no keeper")
        return keeper

    async def test_a_keeper_beats_more_than_once_within_the_visibility_timeout(self) -> None:
        """One beat that comes late, or fails, must not cost the reservation."""
        queue, timeout = await self.expiring()
        keeper = self.keeper_of(queue)
        self.addCleanup(keeper.close)
        self.assertGreater(keeper.interval, 0)
        self.assertLessEqual(keeper.interval, timeout / 2)

    async def test_a_keeper_extends_from_another_thread(self) -> None:
        """The job stays the holder's for as long as the keeper lives."""
        queue, timeout = await self.expiring()
        keeper = self.keeper_of(queue)
        await queue.push_many([make_job("a"), make_job("b")])
        jobs = await queue.pop_many(2)
        for _ in range(3):
            await self.advance(timeout / 2)
            self.assertEqual(await asyncio.to_thread(keeper.extend, jobs), [])
        await self.assert_empty(queue)
        await asyncio.to_thread(keeper.close)
        for job in jobs:
            await queue.ack(job)

    async def test_a_keeper_reports_exactly_the_lost_reservations(self) -> None:
        """So that the worker can tell the handler."""
        queue, timeout = await self.expiring()
        keeper = self.keeper_of(queue)
        await queue.push_many([make_job(job_id) for job_id in "abcd"])
        kept, done, returned, taken = await queue.pop_many(4)
        await queue.ack(done)
        await queue.nack(returned, 100 * timeout)
        await self.advance(timeout / 2)
        await queue.extend(kept)
        await self.advance(timeout / 2 + self.tick)
        second = await queue.pop()
        self.assertEqual(second.id, taken.id)
        lost = await asyncio.to_thread(keeper.extend, [kept, done, returned, taken])
        self.assertEqual([job.id for job in lost], ["b", "c", "d"])
        self.assertEqual(await asyncio.to_thread(keeper.extend, []), [])
        await asyncio.to_thread(keeper.close)
        await queue.ack(second)
        await queue.ack(kept)

    async def test_a_beat_keeps_what_is_held_and_reports_what_is_lost(self) -> None:
        """It is all that a worker calls."""
        queue, timeout = await self.expiring()
        keeper = self.keeper_of(queue)
        await queue.push_many([make_job("a"), make_job("b")])
        kept, done = await queue.pop_many(2)
        await queue.ack(done)
        await self.advance(timeout * 0.75)
        lost = await asyncio.to_thread(keeper.beat, [kept, done])
        self.assertEqual([job.id for job in lost], ["b"])
        await self.advance(timeout * 0.5)
        await self.assert_empty(queue)
        await asyncio.to_thread(keeper.close)
        await queue.ack(kept)

    async def test_a_worker_that_holds_nothing_beats_as_well(self) -> None:
        """So that a store may list the workers that live, the idle ones too."""
        queue, _ = await self.expiring()
        keeper = self.keeper_of(queue, WorkerInfo(queue.labels, 4, "host:1"))
        for _ in range(2):
            self.assertEqual(await asyncio.to_thread(keeper.beat, []), [])
        await asyncio.to_thread(keeper.close)

    async def test_a_view_has_the_keeper_of_its_queue(self) -> None:
        """A worker on `named` labels keeps its jobs as well."""
        queue, timeout = await self.expiring()
        view = queue.named("mail")
        keeper = self.keeper_of(view)
        await view.push(make_job())
        job = await view.pop()
        await self.advance(timeout * 0.75)
        self.assertEqual(await asyncio.to_thread(keeper.extend, [job]), [])
        await self.advance(timeout * 0.5)
        await self.assert_empty(view)
        await asyncio.to_thread(keeper.close)
        await view.ack(job)
