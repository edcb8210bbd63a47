"""The queue that the examples show, in the SQLite file that DATABASE names: alone, `lagoqueue dashboard dashboard.shop:opened`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lagoqueue import Worker, dispatch
from lagoqueue_sql import SQLInspector, SQLQueue

queue = SQLQueue(f"sqlite:///{os.environ.get('DATABASE', 'shop.db')}")
inspector = SQLInspector(queue)
worker = Worker(queue)


@dataclass(frozen=True)
class SendMail:
    address: str


@worker.handle(SendMail, max_retry=1)
async def send_mail(mail: SendMail) -> None:
    if mail.address.endswith("@nowhere.example"):
        raise ConnectionError(f"nobody takes mail for {mail.address}")


@asynccontextmanager
async def opened() -> AsyncIterator[SQLInspector]:
    """Open the queue with one job done, one failed and one waiting; close it in the end."""
    async with queue:
        await queue.setup()
        await dispatch(queue, SendMail("ada@example.org"))
        await dispatch(queue, SendMail("bob@nowhere.example"))
        await worker.run(burst=True)
        await dispatch(queue, SendMail("eve@example.org"), delay=3600)
        yield inspector
