# /// script
# requires-python = ">=3.11"
# dependencies = ["taskiq==0.13.0", "taskiq-redis==1.2.4", "hiredis", "uvloop==0.23.0; sys_platform != 'win32'"]
# ///
"""taskiq on a Redis stream, its broker with acknowledgements: reads a hundred at a time, acknowledges each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from _peer import Peer, enough, handle_async, main

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

ASYNC_TASKS = 100


class Taskiq(Peer):
    package = "taskiq-redis"
    store = "redis"
    delivery = "at least once"
    enqueue_one = "task.kiq(**arguments)"
    drain = {
        f"async={ASYNC_TASKS}": f"Receiver(max_async_tasks={ASYNC_TASKS}) (the default of its command line), uvloop as there"
    }
    latency = drain
    jobs = {"enqueue_one": 4_000, "drain": 5_000, "latency": 60}

    async def open(self, *, create: bool) -> None:
        self.broker = RedisStreamBroker(self.settings.redis)
        self.task = self.broker.task(task_name="job")(handle_async)
        await self.broker.startup()

    async def close(self) -> None:
        await self.broker.shutdown()

    async def push(self, payload: dict[str, Any]) -> None:
        await self.task.kiq(**payload)

    async def work(self, variant: str) -> None:
        last = enough()
        self.broker.is_worker_process = True
        with ThreadPoolExecutor() as executor:
            receiver = Receiver(
                self.broker, executor, max_async_tasks=int(variant.removeprefix("async=")), run_startup=False
            )
            await receiver.listen(last)


if __name__ == "__main__":
    main(Taskiq, new_event_loop)
