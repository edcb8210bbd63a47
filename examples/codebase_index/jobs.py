"""The queue, the job and its worker: all that this program needs of lagoqueue."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from codebase_index.index import Index
from lagoqueue import Worker, current_job, exponential, run_until_signal
from lagoqueue_sql import SQLQueue


@dataclass(frozen=True)
class IndexFile:
    path: str


URL = "CODEBASE_INDEX_URL"
"""The variable that tells a worker process its database; a command line would show a password to everybody."""


def open_queue(url: sa.URL) -> SQLQueue:
    """Open the queue; a worker that dies is missed after the visibility timeout."""
    return SQLQueue(url, visibility_timeout=5)


def make_worker(queue: SQLQueue, indexed: Index) -> Worker:
    """Return a worker that indexes files, and tries one that does not parse three times."""
    worker = Worker(queue, concurrency=2, prefetch=8, max_retry=3, backoff=exponential(base=0.5, cap=5))

    @worker.handle(IndexFile)
    def index(payload: IndexFile) -> None:
        indexed.store(Path(payload.path), current_job().attempts)

    return worker


async def work(url: sa.URL) -> None:
    """Be a worker process: run until the parent says stop."""
    async with open_queue(url) as queue:
        await run_until_signal(make_worker(queue, Index(url)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)  # the parent shows what failed, at the end
    warnings.simplefilter("ignore", SyntaxWarning)  # of the indexed files
    asyncio.run(work(sa.make_url(os.environ[URL])))
