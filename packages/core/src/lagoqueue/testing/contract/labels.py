"""Labels keep jobs apart, and `named` views serve them."""

from __future__ import annotations

import asyncio

from lagoqueue.errors import InvalidJob, InvalidValue, ReservationLost
from lagoqueue.job import DEFAULT_QUEUE
from lagoqueue.queue import Settlement
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Labels(Hooks):
    async def test_a_queue_serves_the_default_label(self) -> None:
        """Jobs of other labels are not popped, nor counted, unless asked for."""
        queue = await self.fresh()
        self.assertEqual(queue.labels, (DEFAULT_QUEUE,))
        await queue.push(make_job("a"))
        await queue.push(make_job("b", queue="mail"))
        self.assertEqual(await queue.size(), 1)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_labels_may_be_given_to_pop_and_size(self) -> None:
        """They replace the queue's own."""
        queue = await self.fresh()
        await queue.push(make_job("a"))
        await queue.push(make_job("b", queue="mail"))
        await queue.push(make_job("c", queue="mail"), delay=600)
        self.assertEqual(await queue.size(labels=["mail"]), 2)
        self.assertEqual(await queue.size(labels=["mail", DEFAULT_QUEUE]), 3)
        self.assertEqual(await queue.size(labels=["nobody's"]), 0)
        self.assertEqual((await queue.pop(labels=["mail"])).id, "b")
        await self.assert_empty(queue, labels=["mail"])
        self.assertEqual((await queue.pop(labels=["mail", DEFAULT_QUEUE])).id, "a")

    async def test_a_view_pushes_to_its_first_label(self) -> None:
        """Whatever label the job had."""
        queue = await self.fresh()
        view = queue.named("critical", "mail")
        self.assertEqual(view.labels, ("critical", "mail"))
        await view.push(make_job("a"))
        await view.push_many([make_job("b", queue="mail"), make_job("c", queue="elsewhere")])
        self.assertEqual(await queue.size(labels=["critical"]), 3)
        self.assertEqual((await queue.pop(labels=["critical"])).queue, "critical")

    async def test_a_view_pops_its_labels_in_order(self) -> None:
        """And counts them, and only them."""
        queue = await self.fresh()
        view = queue.named("critical", "mail")
        await queue.push(make_job("a"))
        await queue.push(make_job("b", queue="mail", priority=9))
        await queue.push(make_job("c", queue="critical"))
        self.assertEqual(await view.size(), 2)
        self.assertEqual(await self.popped_ids(view), ["c", "b"])
        self.assertEqual(await queue.size(), 1)

    async def test_a_view_settles_and_extends(self) -> None:
        """Reservations are the queue's: whoever holds the job may settle it through any view."""
        queue = await self.fresh()
        view = queue.named("mail")
        await view.push_many([make_job(job_id) for job_id in "abcdef"])
        a, b, c, d, e, f = await view.pop_many(6)
        await view.extend(a)
        await view.ack(a)
        await view.nack(b)
        await view.release(c, 600.0)
        await view.fail(d, FAILURE)
        self.assertEqual([job.id for job in await view.settle([Settlement(e, "ack"), Settlement(a, "ack")])], ["a"])
        await queue.ack(f)
        with self.assertRaises(ReservationLost):
            await view.ack(f)
        self.assertEqual(await view.size(), 2)
        self.assertIs(view.failed_jobs, queue.failed_jobs)

    async def test_an_id_is_live_over_all_labels(self) -> None:
        """An id names one job of the whole queue, so it is ignored under another label as well."""
        queue = await self.fresh()
        await queue.push(make_job())
        self.assertIs(await queue.named("mail").push(make_job(), exist_ok=True), False)
        self.assertEqual(await queue.size(labels=["mail"]), 0)

    async def test_a_view_of_a_view_is_a_view_of_the_queue(self) -> None:
        """Labels are replaced, not nested."""
        queue = await self.fresh()
        view = queue.named("a").named("b")
        self.assertEqual(view.labels, ("b",))
        await view.push(make_job())
        self.assertEqual(await self.popped_ids(queue, labels=["b"]), ["a"])

    async def test_observers_are_shared_by_all_views(self) -> None:
        """Counting a queue's jobs counts those of its views."""
        queue = await self.fresh()
        self.assertIs(queue.named("mail").observers, queue.observers)

    async def test_labels_of_a_view_are_checked(self) -> None:
        """None, one twice, or one that no store keeps."""
        queue = await self.fresh()
        for labels in ((), ("a", "a")):
            with self.subTest(repr(labels)), self.assertRaises(InvalidValue):
                queue.named(*labels)
        for label in ("", "x" * 101, "nul\x00", "\ud800"):
            with self.subTest(repr(label)), self.assertRaises(InvalidJob):
                queue.named("good", label)

    async def test_a_push_wakes_who_waits_on_its_label(self) -> None:
        """A pop that waits for another label neither takes the job nor the wake-up."""
        queue = await self.fresh()
        tasks = [asyncio.create_task(queue.pop(600, labels=labels)) for labels in (["x"], ["z", "y"], ["z"])]
        await self.pause()
        await queue.push(make_job("1", queue="y"))
        self.assertEqual((await self.soon(tasks[1])).id, "1")
        self.assertFalse(tasks[0].done() or tasks[2].done())
        await queue.push(make_job("2", queue="z"))
        self.assertEqual((await self.soon(tasks[2])).id, "2")
        await queue.push(make_job("3", queue="x"))
        self.assertEqual((await self.soon(tasks[0])).id, "3")
