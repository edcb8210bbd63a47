"""The workers that live, and what each runs."""

from __future__ import annotations

import asyncio

import msgspec

from lagoqueue.monitor import WorkerView
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.screens.rows import queue_rows
from lagoqueue_dashboard.screens.summary import unserved_queues


class WorkersScreen(msgspec.Struct, frozen=True):
    """The workers.

    Attributes:
        workers: Those that live, the one that started first before others.
        known: The inspector can tell; else the list is empty and means nothing.
        slots: Handlers that they run at once, together.
        running: Jobs that they have reserved, together.
        unserved: Labels where jobs wait and that no living worker serves.
        problems: What could not be read, in words.
    """

    workers: list[WorkerView]
    known: bool
    slots: int
    running: int
    unserved: list[str]
    problems: list[str]


async def workers(ask: Ask) -> WorkersScreen:
    """Make the screen of the workers."""
    look = ask.look
    living, depths = await asyncio.gather(reads.workers(look), reads.depths(look))
    found = living or []
    return WorkersScreen(
        workers=found,
        known=living is not None,
        slots=sum(worker.concurrency for worker in found),
        running=sum(len(worker.running) for worker in found),
        unserved=unserved_queues(queue_rows((), depths, None, ask.long_wait), living),
        problems=look.problems,
    )
