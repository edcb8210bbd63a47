"""The queue, the job and its worker: all that this program needs of lagoqueue."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from codebase_index.index import index_file, open_index
from lagoqueue import Worker, current_job, exponential, run_until_signal
from lagoqueue_sql import SQLQueue


@dataclass(frozen=True)
class IndexFile:
    path: str


def open_queue(database: Path) -> SQLQueue:
    """Open the queue; a worker that dies is missed after the visibility timeout."""
    return SQLQueue(f"sqlite:///{database}", visibility_timeout=5, synchronous="normal")


def make_worker(queue: SQLQueue, database: Path) -> Worker:
    """Return a worker that indexes files, and tries one that does not parse three times."""
    worker = Worker(queue, concurrency=2, prefetch=8, max_retry=3, backoff=exponential(base=0.5, cap=5))

    @worker.handle(IndexFile)
    def index(payload: IndexFile) -> None:
        connection = open_index(database)
        try:
            index_file(connection, Path(payload.path), current_job().attempts)
        finally:
            connection.close()

    return worker


async def work(database: Path) -> None:
    """Be a worker process: run until the parent says stop."""
    async with open_queue(database) as queue:
        await run_until_signal(make_worker(queue, database))


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)  # the parent shows what failed, at the end
    warnings.simplefilter("ignore", SyntaxWarning)  # of the indexed files
    asyncio.run(work(Path(sys.argv[1])))
