"""`SQLKeeper`: extends reservations from the worker's keeper thread, on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lagoqueue.job import Job
from lagoqueue.queue import Keeper
from lagoqueue_sql.settle import extend
from lagoqueue_sql.statements import Statements
from lagoqueue_sql.store import Store

LONGEST_INTERVAL = 60.0


class SQLKeeper(Keeper):
    """Neither the event loop nor the queue's own thread can hold it up."""

    def __init__(self, store: Store, sql: Statements, until: Callable[[], int], visibility_timeout: float) -> None:
        self.interval = min(visibility_timeout / 3, LONGEST_INTERVAL)
        self._store = store
        self._sql = sql
        self._until = until

    def extend(self, jobs: Sequence[Job]) -> list[Job]:
        if not jobs:
            return []
        return self._store.run(lambda connection: extend(connection, self._sql, jobs, until=self._until()), write=True)

    def close(self) -> None:
        self._store.close()
