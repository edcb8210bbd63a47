"""Only the holder of the reservation settles it; whoever lost it changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from lagoqueue.errors import ReservationLost
from lagoqueue.job import Job
from lagoqueue.queue import Queue, Settlement
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job

Settle = Callable[[Queue, Job], Awaitable[object]]

SETTLES: dict[str, Settle] = {
    "ack": lambda queue, job: queue.ack(job),
    "nack": lambda queue, job: queue.nack(job, 60.0),
    "release": lambda queue, job: queue.release(job, 60.0),
    "fail": lambda queue, job: queue.fail(job, FAILURE),
}
SETTLEMENTS: dict[str, Callable[[Job], Settlement]] = {
    "ack": lambda job: Settlement(job, "ack"),
    "nack": lambda job: Settlement(job, "nack", 60.0),
    "release": lambda job: Settlement(job, "release", 60.0),
    "fail": lambda job: Settlement(job, "fail", failure=FAILURE),
}


class Fencing(Hooks):
    async def refused(self, queue: Queue, stale: Job) -> None:
        """Every way to settle `stale` is refused, one by one and in a batch, and changes nothing."""
        before = await self.counts(queue)
        settles = dict(SETTLES)
        if self.supports_expiry:
            settles["extend"] = lambda queue, job: queue.extend(job)
        for name, settle in settles.items():
            with self.subTest(name):
                with self.assertRaises(ReservationLost) as caught:
                    await settle(queue, stale)
                self.assertEqual(caught.exception.job_id, stale.id)
                self.assertEqual(await self.counts(queue), before)
        for name, settlement in SETTLEMENTS.items():
            with self.subTest("settle", action=name):
                self.assertEqual(await queue.settle([settlement(stale)]), [stale])
                self.assertEqual(await self.counts(queue), before)

    async def counts(self, queue: Queue) -> tuple[int, int]:
        """Return how many jobs wait, and how many failed."""
        failed = 0 if queue.failed_jobs is None else await queue.failed_jobs.count()
        return await queue.size(), failed

    async def test_a_job_is_settled_once(self) -> None:
        """After any of the four ends, the receipt is spent."""
        for name, settle in SETTLES.items():
            with self.subTest(name):
                queue = await self.fresh()
                job = await self.reserve(queue)
                await settle(queue, job)
                await self.refused(queue, job)

    async def test_a_stale_receipt_leaves_the_next_reservation_alone(self) -> None:
        """The second worker's reservation is as good as new after the first one's late answers."""
        for how in ("nack", "release"):
            with self.subTest(how):
                queue = await self.fresh()
                first = await self.reserve(queue)
                await (queue.nack(first) if how == "nack" else queue.release(first))
                second = await queue.pop()
                await self.refused(queue, first)
                await self.assert_empty(queue)
                await queue.ack(second)
                self.assertEqual(await self.counts(queue), (0, 0))

    async def test_a_worker_that_lost_its_job_to_another_is_refused(self) -> None:
        """The fence that the visibility timeout needs: A stalls, B runs, A wakes up."""
        queue, timeout = await self.expiring()
        stalled = await self.reserve(queue)
        await self.advance(timeout + self.tick)
        second = await queue.pop()
        self.assertEqual(second.id, stalled.id)
        await self.refused(queue, stalled)
        await queue.ack(second)
        self.assertEqual(await self.counts(queue), (0, 0))

    async def test_a_late_settlement_counts_or_is_refused_but_not_both(self) -> None:
        """Until the job is redelivered, a late settlement may still be accepted."""
        queue, timeout = await self.expiring()
        job = await self.reserve(queue)
        await self.advance(timeout + self.tick)
        try:
            await queue.ack(job)
        except ReservationLost:
            self.assertEqual((await queue.pop()).attempts, 2)
        else:
            await self.assert_empty(queue)
            self.assertEqual(await queue.size(), 0)

    async def test_a_job_that_waits_again_cannot_be_settled(self) -> None:
        """Without a reservation there is nothing to settle, and the job stays."""
        queue = await self.fresh()
        job = await self.reserve(queue)
        await queue.nack(job)
        await self.refused(queue, job)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_a_job_that_was_never_popped_cannot_be_settled(self) -> None:
        """The pushed job itself carries no receipt."""
        queue = await self.fresh()
        pushed = make_job()
        await queue.push(pushed)
        await self.refused(queue, pushed)
        reserved = await queue.pop()
        await self.refused(queue, pushed)
        await queue.ack(reserved)

    async def test_a_forged_receipt_is_refused(self) -> None:
        """Nothing but the receipt itself opens the reservation."""
        queue = await self.fresh()
        job = await self.reserve(queue)
        receipt = job.receipt or ""
        for forged in (
            "",
            "0",
            "1",
            "-1",
            "999999999999",
            "'; --",
            f" {receipt}",
            f"{receipt} ",
            f"{receipt}0",
            "\x00",
        ):
            if forged != receipt:
                with self.subTest(forged):
                    await self.refused(queue, msgspec.structs.replace(job, receipt=forged))
        await queue.ack(job)

    async def test_the_receipt_of_another_job_is_refused(self) -> None:
        """A receipt belongs to one id."""
        queue = await self.fresh()
        await queue.push_many([make_job("a"), make_job("b"), make_job("c")])
        a, b = await queue.pop(), await queue.pop()
        await self.refused(queue, msgspec.structs.replace(a, id="c"))
        await self.refused(queue, msgspec.structs.replace(a, id="never pushed"))
        if a.receipt != b.receipt:  # a driver may count receipts within an id
            await self.refused(queue, msgspec.structs.replace(a, receipt=b.receipt))
        await queue.ack(a)
        await queue.ack(b)
        self.assertEqual(await self.popped_ids(queue), ["c"])

    async def test_receipts_never_repeat_for_an_id(self) -> None:
        """Not after nack, release, extend, expiry, a retry from the failed store, or a new push."""
        queue, timeout = await self.expiring() if self.supports_expiry else (await self.fresh(), 0.0)
        seen: list[str | None] = []
        await queue.push(make_job())

        async def reserve_again() -> Job:
            job = await queue.pop()
            seen.append(job.receipt)
            return job

        await queue.nack(await reserve_again())
        await queue.release(await reserve_again())
        await queue.nack(await reserve_again())
        if self.supports_expiry:
            await reserve_again()
            await self.advance(timeout + self.tick)
        job = await reserve_again()
        await queue.extend(job)
        if queue.failed_jobs is not None:
            for _ in range(3):
                await queue.fail(job, FAILURE)
                await queue.failed_jobs.retry("a")
                job = await reserve_again()
        for _ in range(3):
            await queue.ack(job)
            await queue.push(make_job())
            job = await reserve_again()
        self.assertEqual(len(set(seen)), len(seen), f"a receipt came twice: {seen}")

    async def test_a_receipt_from_before_a_retry_is_refused(self) -> None:
        """The job's new life after the failed-jobs store is nobody's but its new holder's."""
        queue, failed_jobs = await self.with_failed_jobs()
        old = await self.reserve(queue)
        await queue.fail(old, FAILURE)
        await failed_jobs.retry("a")
        await self.refused(queue, old)
        new = await queue.pop()
        await self.refused(queue, old)
        await queue.ack(new)

    async def test_a_receipt_from_before_a_new_push_is_refused(self) -> None:
        """An id that is pushed again is another job."""
        queue = await self.fresh()
        old = await self.reserve(queue)
        await queue.ack(old)
        await queue.push(make_job())
        await self.refused(queue, old)
        new = await queue.pop()
        await self.refused(queue, old)
        await queue.ack(new)
