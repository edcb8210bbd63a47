"""`Gate`: what lets a test decide when a queue's thread goes on."""

from __future__ import annotations

import asyncio
import threading

from lagoqueue_sql import SQLQueue


class Gate:
    """Holds up the queue's thread at a point of its choice."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def hold(self, _: object) -> None:
        self.reached.set()
        assert self.open.wait(10)

    def holding(self, queue: SQLQueue) -> asyncio.Task[None]:
        return asyncio.create_task(queue._thread.run(self.hold))
