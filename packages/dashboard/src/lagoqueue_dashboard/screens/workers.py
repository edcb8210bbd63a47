"""The workers that live, and what each runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from lagoqueue.monitor import WorkerView
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.screens.notice import Tone
from lagoqueue_dashboard.screens.rows import queue_rows
from lagoqueue_dashboard.screens.summary import unserved_queues

LATE, VERY_LATE = 6.0, 9.0
"""Seconds without a beat after which a worker is late: it beats every 3, and is taken for dead after 12."""


class WorkersScreen(msgspec.Struct, frozen=True):
    """The workers.

    Attributes:
        workers: Those that live, the one that started first before others.
        tones: How late each one's last beat is, by its id.
        known: The inspector can tell; else the list is empty and means nothing.
        slots: Handlers that they run at once, together.
        running: Jobs that they have reserved, together.
        unserved: Labels where jobs wait and that no living worker serves.
        problems: What could not be read, in words.
    """

    workers: list[WorkerView]
    tones: dict[str, Tone]
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
        tones={worker.id: _tone(worker) for worker in found},
        known=living is not None,
        slots=sum(worker.concurrency for worker in found),
        running=sum(len(worker.running) for worker in found),
        unserved=unserved_queues(queue_rows((), depths, None, ask.long_wait), living),
        problems=look.problems,
    )


def _tone(worker: WorkerView) -> Tone:
    silence = (datetime.now(UTC) - worker.beaten_at).total_seconds()
    return "bad" if silence >= VERY_LATE else "warn" if silence >= LATE else "good"
