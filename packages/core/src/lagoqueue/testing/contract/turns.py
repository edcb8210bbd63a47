"""`turn`: as `settle` and then `pop_many`, in one step."""

from __future__ import annotations

from lagoqueue.errors import InvalidValue, ReservationLost
from lagoqueue.queue import Settlement
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Turns(Hooks):
    async def test_a_turn_settles_and_reserves(self) -> None:
        """What was settled is done, and what comes is reserved as by `pop`."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in "abcde"])
        first = await queue.pop_many(2)
        turn = await queue.turn([Settlement(job, "ack") for job in first], 2)
        self.assertEqual([job.id for job in turn.jobs], ["c", "d"])
        self.assertEqual([job.attempts for job in turn.jobs], [1, 1])
        self.assertEqual(turn.lost, [])
        for job in first:
            with self.assertRaises(ReservationLost):
                await queue.ack(job)
        for job in turn.jobs:
            await queue.ack(job)
        self.assertEqual(await self.popped_ids(queue), ["e"])

    async def test_a_turn_without_due_jobs_settles(self) -> None:
        """Nothing to reserve is no error."""
        queue = await self.fresh()
        await queue.push(make_job("a"))
        job = await queue.pop()
        self.assertEqual(await queue.turn([Settlement(job, "ack")], 5), ([], []))
        self.assertEqual(await queue.turn([], 5), ([], []))
        with self.assertRaises(ReservationLost):
            await queue.ack(job)

    async def test_a_turn_without_settlements_reserves(self) -> None:
        """In `pop`'s order."""
        queue = await self.fresh()
        await queue.push_many([make_job("b"), make_job("a", priority=1), make_job("c")])
        turn = await queue.turn([], 2)
        self.assertEqual([job.id for job in turn.jobs], ["a", "b"])

    async def test_a_turn_tells_what_was_lost(self) -> None:
        """And does the rest."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in "abc"])
        a, b = await queue.pop_many(2)
        await queue.ack(a)
        turn = await queue.turn([Settlement(a, "ack"), Settlement(b, "ack")], 5)
        self.assertEqual([job.id for job in turn.lost], ["a"])
        self.assertEqual([job.id for job in turn.jobs], ["c"])

    async def test_a_turn_takes_every_kind_of_settlement(self) -> None:
        """Done, due later, due at once, failed: each as its settlement says."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in "abcd"])
        a, b, c, d = await queue.pop_many(4)
        settlements = [
            Settlement(a, "ack"),
            Settlement(b, "nack", 600.0),
            Settlement(c, "release"),
            Settlement(d, "fail", failure=FAILURE),
        ]
        turn = await queue.turn(settlements, 9)
        back = turn.jobs or await queue.pop_many(9)  # what this turn itself put back may come with the next
        self.assertEqual(turn.lost, [])
        self.assertEqual([(job.id, job.attempts) for job in back], [("c", 1 if self.supports_release else 2)])
        self.assertNotEqual(back[0].receipt, c.receipt)
        self.assertEqual(await queue.size(), 1)

    async def test_a_turn_keeps_to_labels_and_limit(self) -> None:
        """It looks where `pop_many` would."""
        queue = await self.fresh()
        await queue.push_many([make_job("x", queue="x"), make_job("y", queue="y"), make_job("z", queue="y")])
        turn = await queue.turn([], 1, labels=["y"])
        self.assertEqual([job.id for job in turn.jobs], ["y"])
        turn = await queue.named("y", "x").turn([Settlement(turn.jobs[0], "ack")], 9)
        self.assertEqual([job.id for job in turn.jobs], ["z", "x"])

    async def test_a_turn_refuses_a_bad_limit(self) -> None:
        """And then settles nothing."""
        queue = await self.fresh()
        await queue.push(make_job("a"))
        job = await queue.pop()
        with self.assertRaises(InvalidValue):
            await queue.turn([Settlement(job, "ack")], 0)
        await queue.ack(job)
