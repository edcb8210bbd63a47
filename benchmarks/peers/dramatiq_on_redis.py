# /// script
# requires-python = ">=3.11"
# dependencies = ["dramatiq[redis]==2.2.1", "hiredis"]
# ///
"""Dramatiq on Redis: fetches a few jobs in one call, which threads run."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from _peer import Peer, enough, handle, main


class Dramatiq(Peer):
    package = "dramatiq"
    store = "redis"
    delivery = "at least once"
    enqueue_one = "actor.send(**arguments)"
    drain = {"threads=8": "Worker(worker_threads=8) (the default of its command line), sync actor"}
    latency = drain
    jobs = {"enqueue_one": 5_000, "drain": 4_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.broker = RedisBroker(url=self.settings.redis)
        self.actor = dramatiq.actor(handle, actor_name="job", broker=self.broker)

    async def close(self) -> None:
        self.broker.close()

    async def push(self, payload: dict[str, Any]) -> None:
        self.actor.send(**payload)

    async def work(self, variant: str) -> None:
        last = enough()
        worker = dramatiq.Worker(self.broker, worker_threads=int(variant.removeprefix("threads=")))
        worker.start()
        await last.wait()
        worker.stop()


if __name__ == "__main__":
    main(Dramatiq)
