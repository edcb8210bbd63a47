"""Huey on any of its stores: one thread takes a job, which is gone from the store then, and runs it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from huey import Huey

from _peer import Peer, enough, handle


class HueyPeer(Peer):
    package = "huey"
    delivery = "at most once"
    enqueue_one = "task(**arguments)"
    drain = {"threads=1": "huey.create_consumer(workers=1, worker_type=thread) (the default), sync task"}
    latency = drain
    jobs = {"enqueue_one": 4_000, "drain": 4_000, "latency": 60}

    @abstractmethod
    def huey(self) -> Huey: ...

    async def open(self, *, create: bool) -> None:
        self.app = self.huey()  # makes its tables, where the store has any
        self.task = self.app.task(name="job")(handle)

    async def close(self) -> None:
        self.app.storage.close()

    async def push(self, payload: dict[str, Any]) -> None:
        self.task(**payload)

    async def work(self, variant: str) -> None:
        last = enough()
        consumer = self.app.create_consumer(workers=int(variant.removeprefix("threads=")), worker_type="thread")
        consumer.start()
        await last.wait()
        consumer.stop(graceful=True)
