"""Closing ends what waits and refuses what comes later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lagoqueue.errors import QueueClosed
from lagoqueue.queue import Settlement
from lagoqueue.testing.contract.hooks import FAILURE, Hooks, make_job


class Closing(Hooks):
    async def test_close_wakes_waiting_pops(self) -> None:
        """They raise `QueueClosed` at once, all of them."""
        queue = await self.fresh()
        tasks = [asyncio.create_task(queue.pop(600)) for _ in range(3)]
        tasks.append(asyncio.create_task(queue.named("mail").pop(600)))
        batch = asyncio.create_task(queue.pop_many(10, 600))
        await self.pause()
        await self.soon(queue.close())
        for task in (*tasks, batch):
            with self.assertRaises(QueueClosed):
                await self.soon(task)

    async def test_every_later_call_raises(self) -> None:
        """Also through a view, and also with a reservation from before."""
        queue = await self.fresh()
        view = queue.named("default")
        job = await self.reserve(queue)
        await queue.close()
        for each in (queue, view):
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "push": lambda each=each: each.push(make_job("b")),  # type: ignore[misc]
                "pop": lambda each=each: each.pop(),  # type: ignore[misc]
                "pop, waiting": lambda each=each: each.pop(600),  # type: ignore[misc]
                "ack": lambda each=each: each.ack(job),  # type: ignore[misc]
                "nack": lambda each=each: each.nack(job),  # type: ignore[misc]
                "size": lambda each=each: each.size(),  # type: ignore[misc]
                "push_many": lambda each=each: each.push_many([make_job("b")]),  # type: ignore[misc]
                "pop_many": lambda each=each: each.pop_many(10),  # type: ignore[misc]
                "settle": lambda each=each: each.settle([Settlement(job, "ack")]),  # type: ignore[misc]
                "fail": lambda each=each: each.fail(job, FAILURE),  # type: ignore[misc]
                "release": lambda each=each: each.release(job),  # type: ignore[misc]
            }
            if self.supports_expiry:
                calls["extend"] = lambda each=each: each.extend(job)  # type: ignore[misc]
            for name, call in calls.items():
                with self.subTest(name), self.assertRaises(QueueClosed):
                    await self.soon(call())

    async def test_close_may_be_called_again(self) -> None:
        """One after the other, at the same time, and by leaving `async with`."""
        queue = await self.fresh()
        await queue.push(make_job())
        async with queue:
            await queue.close()
        await self.soon(asyncio.gather(queue.close(), queue.close()))
        await queue.close()

    async def test_leaving_async_with_closes(self) -> None:
        """Also when the block raises, whose error is what comes out."""
        queue = await self.fresh()
        with self.assertRaisesRegex(LookupError, "from the block"):
            async with queue:
                raise LookupError("from the block")
        with self.assertRaises(QueueClosed):
            await queue.pop()

    async def test_closing_a_view_closes_the_queue(self) -> None:
        """A view holds nothing of its own."""
        queue = await self.fresh()
        await queue.named("mail").close()
        with self.assertRaises(QueueClosed):
            await queue.size()
