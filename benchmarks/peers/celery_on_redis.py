# /// script
# requires-python = ">=3.11"
# dependencies = ["celery[redis]==5.7.0", "redis[hiredis]"]
# ///
"""Celery on Redis, with the pools that run jobs in the process that fetches them."""

from __future__ import annotations

from typing import Any

import celery
from celery.worker import state

from _peer import Peer, handle, main, seen


class Celery(Peer):
    package = "celery"
    store = "redis"
    delivery = "at most once"
    enqueue_one = "task.apply_async(ignore_result=True)"
    drain = {
        f"{pool}={size}": f"Worker(pool={pool}, concurrency={size}), worker_prefetch_multiplier=64, sync task, early ack"
        for pool, size in [("solo", 1), ("threads", 2)]
    }
    latency = {"solo=1": "Worker(pool=solo), sync task, early ack"}
    jobs = {"enqueue_one": 3_000, "drain": 2_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.app = celery.Celery(broker=self.settings.redis)
        self.app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, worker_hijack_root_logger=False)
        self.app.conf.broker_connection_retry_on_startup = True
        self.task = self.app.task(name="job")(handle)

    async def push(self, payload: dict[str, Any]) -> None:
        self.task.apply_async(kwargs=payload)

    async def work(self, variant: str) -> None:
        pool, _, size = variant.partition("=")

        def stop() -> None:
            state.should_stop = True  # read by the worker's loop

        seen.enough = stop
        worker = self.app.Worker(pool=pool, concurrency=int(size), loglevel="WARNING", quiet=True)
        worker.start()


if __name__ == "__main__":
    main(Celery)
