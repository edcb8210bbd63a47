"""Nothing is delivered early, and nothing stays away for long once it is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from lagoqueue._time import MAX_SECONDS
from lagoqueue.testing.contract.hooks import Hooks, make_job


class Delays(Hooks):
    async def test_a_delayed_push_is_not_early(self) -> None:
        """Due after the delay, not before."""
        queue = await self.fresh()
        await queue.push(make_job(), delay=4 * self.tick)
        await self.assert_empty(queue)
        await self.advance(2 * self.tick)
        await self.assert_empty(queue)
        await self.advance(3 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_available_at_is_not_early(self) -> None:
        """Due at the instant, in whatever time zone it was given."""
        queue = await self.fresh()
        instant = self.now() + timedelta(seconds=6 * self.tick)
        await queue.push(make_job("utc", available_at=instant))
        await queue.push(make_job("east", available_at=instant.astimezone(timezone(timedelta(hours=9)))))
        await queue.push(make_job("west", available_at=instant.astimezone(timezone(timedelta(hours=-11)))))
        await self.assert_empty(queue)
        await self.advance(2 * self.tick)
        await self.assert_empty(queue)
        await self.advance(6 * self.tick)
        self.assertEqual(sorted(await self.popped_ids(queue)), ["east", "utc", "west"])

    async def test_available_at_in_the_past_is_due_now(self) -> None:
        """However long ago it was."""
        queue = await self.fresh()
        await queue.push(make_job(available_at=datetime(1970, 1, 2, tzinfo=UTC)))
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_a_delay_goes_before_available_at(self) -> None:
        """With a delay, the store's clock decides, and the instant of the pusher's does not."""
        queue = await self.fresh()
        now = self.now()
        await queue.push(make_job("due", available_at=now + timedelta(days=1)), delay=0.0)
        await queue.push(make_job("delayed", available_at=now - timedelta(days=1)), delay=600.0)
        self.assertEqual(await self.popped_ids(queue), ["due"])
        self.assertEqual(await queue.size(), 1)

    async def test_the_longest_delays_are_kept(self) -> None:
        """Ten years, and the last instant that a datetime can name."""
        queue = await self.fresh()
        await queue.push(make_job("a"), delay=MAX_SECONDS)
        await queue.push(make_job("b", available_at=datetime.max.replace(tzinfo=UTC)))
        self.assertEqual(await queue.size(), 2)
        await queue.push(make_job("due"))
        self.assertEqual(await self.popped_ids(queue), ["due"])

    async def test_a_popped_job_says_when_it_was_due(self) -> None:
        """`available_at` of a popped job is an aware instant near the one that was asked for."""
        queue = await self.fresh()
        asked = self.now() - timedelta(minutes=5)
        job = await self.reserve(queue, available_at=asked)
        assert job.available_at is not None
        self.assertEqual(job.available_at.utcoffset(), timedelta(0))
        self.assertLess(abs(job.available_at - asked), timedelta(seconds=0.01))

    async def test_nack_delays_the_retry(self) -> None:
        """Due again after `retry_after`, not before."""
        queue = await self.fresh()
        await queue.nack(await self.reserve(queue), 4 * self.tick)
        await self.assert_empty(queue)
        await self.advance(2 * self.tick)
        await self.assert_empty(queue)
        await self.advance(3 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_release_delays_the_next_delivery(self) -> None:
        """Due again after `delay`, not before."""
        queue = await self.fresh()
        await queue.release(await self.reserve(queue), 4 * self.tick)
        await self.assert_empty(queue)
        await self.advance(2 * self.tick)
        await self.assert_empty(queue)
        await self.advance(3 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_push_many_delays_every_job(self) -> None:
        """One delay for the whole batch."""
        queue = await self.fresh()
        await queue.push_many([make_job("a"), make_job("b")], delay=2 * self.tick)
        await self.assert_empty(queue)
        await self.advance(3 * self.tick)
        self.assertEqual(await self.popped_ids(queue), ["a", "b"])
