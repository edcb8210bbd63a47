"""`push_many`, `pop_many` and `settle`: as one by one, in fewer steps."""

from __future__ import annotations

from lagoqueue.errors import DuplicateJob
from lagoqueue.queue import Settlement
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job

MANY = 1_500
"""More than the parameters that some databases take in one statement."""


class Batches(Hooks):
    async def test_push_many_stores_all_in_order(self) -> None:
        """And says how many."""
        queue = await self.fresh()
        ids = ["c", "a", "b"]
        self.assertEqual(await queue.push_many([make_job(job_id) for job_id in ids]), 3)
        self.assertEqual(await self.popped_ids(queue), ids)

    async def test_an_empty_batch_does_nothing(self) -> None:
        """Nothing to push, nothing to settle."""
        queue = await self.fresh()
        self.assertEqual(await queue.push_many([]), 0)
        self.assertEqual(await queue.settle([]), [])
        self.assertEqual(await queue.size(), 0)

    async def test_push_many_counts_what_it_stored(self) -> None:
        """Live ids are left alone on request, also those that come twice in the batch."""
        queue = await self.fresh()
        await queue.push(make_job("b", payload=b"first"))
        batch = [make_job("a"), make_job("b", payload=b"second"), make_job("c"), make_job("a", payload=b"again")]
        self.assertEqual(await queue.push_many(batch, exist_ok=True), 2)
        self.assertEqual(await queue.size(), 3)
        jobs = {job.id: job.payload for job in await queue.pop_many(9)}
        self.assertEqual(jobs, {"a": b"{}", "b": b"first", "c": b"{}"})

    async def test_push_many_refuses_a_duplicate(self) -> None:
        """What was live stays as it was; of the others, those before it are stored or none."""
        queue = await self.fresh()
        await queue.push(make_job("b", payload=b"first"))
        with self.assertRaises(DuplicateJob) as caught:
            await queue.push_many([make_job("a"), make_job("b", payload=b"second"), make_job("c")])
        self.assertEqual(caught.exception.job_id, "b")
        jobs = {job.id: job.payload for job in await queue.pop_many(9)}
        self.assertEqual(jobs.pop("b"), b"first")
        self.assertIn(list(jobs), (["a"], []))

    async def test_push_many_keeps_each_jobs_label_and_priority(self) -> None:
        """A batch may go to several labels."""
        queue = await self.fresh()
        await queue.push_many(
            [make_job("a", queue="x"), make_job("b", queue="y"), make_job("c", queue="x", priority=1)]
        )
        self.assertEqual(await self.popped_ids(queue, labels=["x"]), ["c", "a"])
        self.assertEqual(await self.popped_ids(queue, labels=["y"]), ["b"])

    async def test_pop_many_returns_the_first_jobs_in_order(self) -> None:
        """Up to its limit, in the order in which `pop` would have returned them."""
        queue = await self.fresh()
        for job_id, priority in (("d", 0), ("e", 0), ("b", 1), ("a", 2), ("c", 1)):
            await queue.push(make_job(job_id, priority=priority))
        self.assertEqual([job.id for job in await queue.pop_many(3)], ["a", "b", "c"])
        self.assertEqual([job.id for job in await queue.pop_many(3)], ["d", "e"])
        self.assertEqual(await queue.size(), 0)

    async def test_pop_many_goes_through_the_labels_in_order(self) -> None:
        """When the first label has too few, the next one fills the batch."""
        queue = await self.fresh()
        await queue.push_many(
            [make_job("b", queue="y", priority=5), make_job("a", queue="x"), make_job("c", queue="y")]
        )
        jobs = await queue.pop_many(10, labels=["x", "y"])
        self.assertEqual([job.id for job in jobs], ["a", "b", "c"])

    async def test_pop_many_takes_nothing_that_is_not_due(self) -> None:
        """A batch is not filled with delayed jobs."""
        queue = await self.fresh()
        await queue.push(make_job("delayed", priority=1), delay=600)
        await queue.push(make_job("due"))
        self.assertEqual([job.id for job in await queue.pop_many(10)], ["due"])
        self.assertEqual(await queue.size(), 1)

    async def test_jobs_of_a_batch_are_settled_apart(self) -> None:
        """Each has a reservation of its own."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in "abc"])
        a, b, c = await queue.pop_many(3)
        await queue.ack(b)
        await queue.nack(a)
        await queue.ack(c)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_settle_ends_each_reservation_as_it_says(self) -> None:
        """All four ends in one batch."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in ("done", "retry", "later", "back", "dead")])
        done, retry, later, back, dead = await queue.pop_many(5)
        lost = await queue.settle(
            [
                Settlement(done, "ack"),
                Settlement(retry, "nack"),
                Settlement(later, "nack", 600.0),
                Settlement(back, "release"),
                Settlement(dead, "fail", failure=FAILURE),
            ]
        )
        self.assertEqual(lost, [])
        self.assertEqual(await queue.size(), 3)
        attempts = {job.id: job.attempts for job in await queue.pop_many(9)}
        self.assertEqual(attempts, {"retry": 2, "back": 1 if self.supports_release else 2})
        if queue.failed_jobs is not None:
            self.assertEqual(
                [(failed.id, failed.error) for failed in await queue.failed_jobs.list()], [("dead", FAILURE.error)]
            )

    async def test_settle_returns_exactly_the_lost_ones(self) -> None:
        """The rest of the batch is settled all the same."""
        queue = await self.fresh()
        await queue.push_many([make_job(job_id) for job_id in "abcdef"])
        a, b, c, d, e, f = await queue.pop_many(6)
        await queue.ack(b)
        await queue.nack(d, 600.0)
        await queue.fail(f, FAILURE)
        lost = await queue.settle(
            [
                Settlement(a, "ack"),
                Settlement(b, "nack"),
                Settlement(c, "nack", 600.0),
                Settlement(d, "ack"),
                Settlement(e, "fail", failure=FAILURE),
                Settlement(f, "release"),
            ]
        )
        self.assertEqual(sorted(job.id for job in lost), ["b", "d", "f"])
        self.assertEqual(sorted(job.receipt or "" for job in lost), sorted(job.receipt or "" for job in (b, d, f)))
        self.assertEqual(await queue.size(), 2)  # c and d
        await self.assert_empty(queue)

    async def test_settle_tells_the_stale_receipt_of_an_id_from_the_good_one(self) -> None:
        """Both in one batch: the first delivery is refused, the second is settled."""
        queue = await self.fresh()
        first = await self.reserve(queue)
        await queue.nack(first)
        second = await queue.pop()
        lost = await queue.settle([Settlement(first, "nack"), Settlement(second, "ack")])
        self.assertEqual([job.receipt for job in lost], [first.receipt])
        self.assertEqual(await queue.size(), 0)
        await self.assert_empty(queue)

    async def test_large_batches(self) -> None:
        """Batches have no other limit than the caller's."""
        queue = await self.fresh()
        ids = [f"{number:05}" for number in range(MANY)]
        self.assertEqual(await queue.push_many([make_job(job_id) for job_id in ids]), MANY)
        self.assertEqual(await queue.push_many([make_job(job_id) for job_id in ids], exist_ok=True), 0)
        jobs = await queue.pop_many(MANY)
        self.assertEqual([job.id for job in jobs], ids)
        await queue.ack(jobs[7])
        lost = await queue.settle([Settlement(job, "ack") for job in jobs])
        self.assertEqual([job.id for job in lost], ["00007"])
        self.assertEqual(await queue.size(), 0)
