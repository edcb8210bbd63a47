"""What the settler says of each delivery in a batch."""

from __future__ import annotations

import logging

from lagoqueue import Job, MemoryQueue, Settlement
from lagoqueue.delivery import Delivery
from lagoqueue.settler import Settler
from lagoqueue.testing import ManualClock


async def test_two_deliveries_of_one_job_in_a_batch_are_told_apart() -> None:
    clock = ManualClock()
    queue = MemoryQueue(visibility_timeout=60, clock=clock)
    await queue.push(Job("1", "Resize", b"{}"))
    earlier = await queue.pop()
    clock.advance(61)
    later = await queue.pop()
    done: list[tuple[int, bool]] = []
    dropped: list[Delivery] = []
    settler = Settler(
        queue,
        lambda batch, lost: done.extend((each.job.attempts, each in lost) for each in batch),
        dropped.extend,
        logging.getLogger("test"),
    )
    batch = [Delivery(earlier), Delivery(later)]
    for delivery in batch:
        delivery.settlement = Settlement(delivery.job, "ack")
    await settler.settle(batch)
    assert done == [(1, True), (2, False)]
    assert dropped == []
    assert queue.jobs() == []
