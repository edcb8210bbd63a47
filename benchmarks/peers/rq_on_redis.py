# /// script
# requires-python = ">=3.11"
# dependencies = ["rq==3.0.0", "redis[hiredis]"]
# ///
"""RQ with its SimpleWorker, which runs jobs in its own process; the default worker forks for each."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker

from _peer import Peer, handle, main, seen


class RQ(Peer):
    package = "rq"
    store = "redis"
    delivery = "at most once"
    enqueue_one = "queue.enqueue(function, result_ttl=0)"
    enqueue_bulk = "queue.enqueue_many() of 1000, result_ttl=0"
    drain = {"SimpleWorker": "SimpleWorker.work(), sync function, result_ttl=0"}
    latency = drain
    jobs = {"enqueue_one": 3_000, "enqueue_bulk": 10_000, "drain": 500, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.queue = Queue(connection=Redis.from_url(self.settings.redis))

    async def push(self, payload: dict[str, Any]) -> None:
        self.queue.enqueue(handle, kwargs=payload, result_ttl=0)

    async def push_many(self, payloads: list[dict[str, Any]]) -> None:
        self.queue.enqueue_many([Queue.prepare_data(handle, kwargs=each, result_ttl=0) for each in payloads])

    async def work(self, variant: str) -> None:
        worker = SimpleWorker([self.queue], connection=self.queue.connection)
        worker.work(max_jobs=seen.jobs, logging_level="WARNING")


if __name__ == "__main__":
    main(RQ)
