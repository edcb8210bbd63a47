"""Many at once: one reservation goes to exactly one consumer, and one settlement counts."""

from __future__ import annotations

import asyncio

from lagoqueue.errors import DuplicateJob, QueueEmpty, ReservationLost
from lagoqueue.job import Job
from lagoqueue.queue import Queue
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job

JOBS = 120
WORKERS = 8


class Concurrency(Hooks):
    async def test_poppers_never_share_a_job(self) -> None:
        """Each job is popped once, by pops one by one and by pops in batches."""
        queue = await self.fresh()
        await queue.push_many([make_job(str(number)) for number in range(JOBS)])
        popped: list[str] = []

        async def one_by_one() -> None:
            for _ in range(JOBS + 1):
                popped.append((await queue.pop()).id)
                await asyncio.sleep(0)

        async def in_batches() -> None:
            for _ in range(JOBS + 1):
                popped.extend(job.id for job in await queue.pop_many(7))
                await asyncio.sleep(0)

        poppers = [one_by_one() if number % 2 else in_batches() for number in range(WORKERS)]
        ends = await self.soon(asyncio.gather(*poppers, return_exceptions=True))
        self.assertEqual([type(end) for end in ends], [QueueEmpty] * WORKERS)
        self.assertEqual(sorted(popped, key=int), [str(number) for number in range(JOBS)])

    async def test_everything_pushed_while_others_wait_is_delivered_once(self) -> None:
        """Producers and waiting consumers at the same time: none lost, none twice."""
        queue = await self.fresh()
        seen: list[str] = []
        complete = asyncio.Event()

        async def consume() -> None:
            for _ in range(JOBS + 1):
                job = await queue.pop(600)
                seen.append(job.id)
                await queue.ack(job)
                if len(seen) >= JOBS:
                    complete.set()

        async def produce(producer: int) -> None:
            for number in range(producer, JOBS, 4):
                await queue.push(make_job(str(number)))

        consumers = [asyncio.create_task(consume()) for _ in range(WORKERS)]
        try:
            await self.soon(asyncio.gather(*(produce(producer) for producer in range(4))))
            await self.soon(complete.wait())
            await self.pause()  # a second delivery would show up now
        finally:
            await self.end(consumers)
        self.assertEqual(sorted(seen, key=int), [str(number) for number in range(JOBS)])
        self.assertEqual(await queue.size(), 0)

    async def test_one_of_many_pushes_of_an_id_wins(self) -> None:
        """The others are told, and there is one job."""
        queue = await self.fresh()
        results = await self.soon(
            asyncio.gather(
                *(queue.push(make_job("raised", payload=b"%d" % number)) for number in range(WORKERS)),
                *(queue.push(make_job("ignored"), exist_ok=True) for _ in range(WORKERS)),
                return_exceptions=True,
            )
        )
        raised, ignored = results[:WORKERS], results[WORKERS:]
        self.assertEqual(raised.count(True), 1)
        self.assertEqual(sum(isinstance(result, DuplicateJob) for result in raised), WORKERS - 1)
        self.assertEqual((ignored.count(True), ignored.count(False)), (1, WORKERS - 1))
        self.assertEqual(await queue.size(), 2)

    async def test_one_of_many_settlements_of_a_reservation_counts(self) -> None:
        """Whichever it is, the others are refused and change nothing."""
        queue = await self.fresh()
        for round_ in range(10):
            job = await self.reserve(queue, f"job {round_}")
            results = await self.soon(asyncio.gather(*self.every_end(queue, job), return_exceptions=True))
            self.assertEqual(results.count(None), 1, results)
            self.assertEqual(sum(isinstance(result, ReservationLost) for result in results), len(results) - 1, results)
            acked = results[0] is None or results[1] is None
            left = await queue.size()
            failed = 0 if queue.failed_jobs is None else await queue.failed_jobs.count()
            if queue.failed_jobs is not None:
                self.assertEqual(left + failed, 0 if acked else 1)
                await queue.failed_jobs.flush()
            await self.popped_ids(queue)

    def every_end(self, queue: Queue, job: Job) -> list[asyncio.Task[None]]:
        ends = [queue.ack(job), queue.ack(job), queue.nack(job), queue.fail(job, FAILURE), queue.release(job)]
        return [asyncio.create_task(end) for end in ends]

    async def end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=self.patience)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
