"""Of the due jobs: the first label, then the highest priority, then the earliest, then push order."""

from __future__ import annotations

from datetime import timedelta

from lagoqueue.testing.contract.hooks import Hooks, make_job


class Order(Hooks):
    async def test_equal_jobs_come_in_push_order(self) -> None:
        """First in, first out, over more jobs than any batch."""
        queue = await self.fresh()
        ids = [f"{number:03}" for number in range(60)]
        for job_id in ids[::2] + ids[1::2]:
            await queue.push(make_job(job_id))
        self.assertEqual(await self.popped_ids(queue), ids[::2] + ids[1::2])

    async def test_jobs_due_at_one_instant_come_in_push_order(self) -> None:
        """Also when it was the pusher who named the instant."""
        queue = await self.fresh()
        instant = self.now() - timedelta(seconds=1)
        ids = [f"{number:03}" for number in range(60)]
        for job_id in reversed(ids):
            await queue.push(make_job(job_id, available_at=instant))
        self.assertEqual(await self.popped_ids(queue), ids[::-1])

    async def test_a_higher_priority_comes_first(self) -> None:
        """Whatever the push order; negative ones last."""
        queue = await self.fresh()
        for job_id, priority in (("low", -5), ("plain", 0), ("high", 10), ("top", 2**31 - 1), ("plain 2", 0)):
            await queue.push(make_job(job_id, priority=priority))
        self.assertEqual(await self.popped_ids(queue), ["top", "high", "plain", "plain 2", "low"])

    async def test_the_earlier_due_comes_first(self) -> None:
        """Among equal priorities, by when each became due, not by when it was pushed."""
        queue = await self.fresh()
        await queue.push(make_job("third"), delay=4 * self.tick)
        await queue.push(make_job("second"), delay=2 * self.tick)
        await queue.push(make_job("first"))
        await self.advance(5 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["first", "second", "third"])

    async def test_an_instant_in_the_past_counts_as_earlier(self) -> None:
        """A job that should have run an hour ago goes before one that is due since now."""
        queue = await self.fresh()
        now = self.now()
        await queue.push(make_job("now"))
        await queue.push(make_job("an hour ago", available_at=now - timedelta(hours=1)))
        await queue.push(make_job("a day ago", available_at=now - timedelta(days=1)))
        self.assertEqual(await self.popped_ids(queue), ["a day ago", "an hour ago", "now"])

    async def test_priority_goes_before_time(self) -> None:
        """A higher priority comes first even if it became due later."""
        queue = await self.fresh()
        await queue.push(make_job("early"))
        await queue.push(make_job("late but high", priority=1), delay=2 * self.tick)
        await self.advance(3 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["late but high", "early"])

    async def test_a_job_that_is_not_due_holds_nobody_up(self) -> None:
        """Neither a high priority nor an older push makes others wait for a delayed job."""
        queue = await self.fresh()
        await queue.push(make_job("delayed", priority=100), delay=600)
        await queue.push(make_job("due"))
        self.assertEqual(await self.popped_ids(queue), ["due"])
        self.assertEqual(await queue.size(), 1)

    async def test_labels_go_before_all_else(self) -> None:
        """A job of the first label comes before a more important, older one of the second."""
        queue = await self.fresh()
        await queue.push(make_job("second", queue="b", priority=100))
        await queue.push(make_job("first", queue="a", priority=-100))
        await queue.push(make_job("first too", queue="a"))
        self.assertEqual(await self.popped_ids(queue, labels=["a", "b"]), ["first too", "first", "second"])

    async def test_a_label_without_due_jobs_is_passed_over(self) -> None:
        """A delayed job of the first label does not hold up the second."""
        queue = await self.fresh()
        await queue.push(make_job("delayed", queue="a"), delay=600)
        await queue.push(make_job("due", queue="b"))
        self.assertEqual(await self.popped_ids(queue, labels=["a", "b"]), ["due"])

    async def test_a_returned_job_goes_behind_what_was_due_before(self) -> None:
        """A job that fails again and again does not starve the others."""
        queue = await self.fresh()
        await queue.push(make_job("failing"))
        await queue.push(make_job("waiting"))
        job = await queue.pop()
        await self.advance(self.tick)
        await queue.nack(job)
        self.assertEqual(await self.popped_ids(queue), ["waiting", "failing"])

    async def test_a_returned_job_keeps_its_priority(self) -> None:
        """It comes before less important ones again."""
        queue = await self.fresh()
        await queue.push(make_job("plain"))
        await queue.push(make_job("high", priority=1))
        job = await queue.pop()
        await queue.nack(job)
        self.assertEqual(await self.popped_ids(queue), ["high", "plain"])

    async def test_an_expired_reservation_keeps_its_place(self) -> None:
        """A job whose worker died is still the oldest, once it is reclaimed."""
        queue, timeout = await self.expiring()
        await queue.push(make_job("abandoned"))
        await queue.pop()
        await self.advance(timeout + self.tick)
        job = await queue.pop()
        self.assertEqual(job.id, "abandoned")
