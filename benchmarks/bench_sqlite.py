"""SQLite from a coroutine: one thread that owns the connection, or aiosqlite under SQLAlchemy's async engine?

The first three rows of each table answer that with the same statements; raw sqlite3 is what the file
itself allows. The last is `SQLQueue` with all that the contract asks for beyond them. aiosqlite is
measured where it is installed (with greenlet); nothing else needs it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from _harness import Table, main
from lagoqueue import Job, Settlement
from lagoqueue_sql import SQLQueue

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

async_engine: Callable[..., AsyncEngine] | None = None
if find_spec("aiosqlite") and find_spec("greenlet"):
    from sqlalchemy.ext.asyncio import create_async_engine

    async_engine = create_async_engine

T = TypeVar("T")

K = 100
NOTE = "each operation is a transaction of its own, awaited before the next begins"
PAYLOAD = b'{"user_id": 42}'

SCHEMA = (
    (
        "CREATE TABLE jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, queue TEXT NOT NULL,"
        " priority INTEGER NOT NULL, payload BLOB NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
        " available_at INTEGER NOT NULL, reserved_at INTEGER, receipt TEXT)"
    ),
    "CREATE INDEX waiting ON jobs (queue, priority DESC, available_at, seq, reserved_at) WHERE reserved_at IS NULL",
)
PUSH = (
    "INSERT INTO jobs (id, queue, priority, payload, available_at) VALUES (:id, 'default', 0, :payload, 1)"
    " ON CONFLICT (id) DO NOTHING"
)
CLAIM = (
    "UPDATE jobs SET reserved_at = 2, receipt = 'r', attempts = attempts + 1 WHERE seq IN ("
    " SELECT seq FROM jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= 2"
    " ORDER BY priority DESC, available_at, seq LIMIT :limit) RETURNING seq, id, payload, attempts"
)
ACK = "DELETE FROM jobs WHERE id = :id AND receipt = 'r'"

push_text, claim_text, ack_text = sa.text(PUSH), sa.text(CLAIM), sa.text(ACK)


class Subject(ABC):
    """Something that pushes, claims and settles, each in one transaction."""

    name: str

    @abstractmethod
    async def open(self, path: Path, synchronous: str) -> None: ...

    @abstractmethod
    async def push(self, number: int) -> None: ...

    @abstractmethod
    async def claim(self, limit: int) -> Sequence[Any]: ...

    @abstractmethod
    async def settle(self, claimed: Sequence[Any]) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...


def row(number: int) -> dict[str, object]:
    return {"id": f"{number:036d}", "payload": PAYLOAD}


class Raw(Subject):
    name = "raw sqlite3, no hop"

    async def open(self, path: Path, synchronous: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {synchronous}", *SCHEMA):
            self.connection.execute(statement)

    async def push(self, number: int) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(PUSH, row(number))
        self.connection.execute("COMMIT")

    async def claim(self, limit: int) -> Sequence[Any]:
        self.connection.execute("BEGIN IMMEDIATE")
        claimed = self.connection.execute(CLAIM, {"limit": limit}).fetchall()
        self.connection.execute("COMMIT")
        return claimed

    async def settle(self, claimed: Sequence[Any]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(ACK, [{"id": job[1]} for job in claimed])
        self.connection.execute("COMMIT")

    async def close(self) -> None:
        self.connection.close()


def push_one(connection: sa.Connection, number: int) -> None:
    connection.execute(push_text, row(number))


def claim_some(connection: sa.Connection, limit: int) -> Sequence[Any]:
    return connection.execute(claim_text, {"limit": limit}).all()


def settle_all(connection: sa.Connection, claimed: Sequence[Any]) -> None:
    connection.execute(ack_text, [{"id": job[1]} for job in claimed])


class OnSQLAlchemy(Subject):
    """The same functions over a SQLAlchemy connection, wherever that lives."""

    @abstractmethod
    async def call(self, function: Callable[[sa.Connection, Any], T], argument: Any) -> T: ...

    async def push(self, number: int) -> None:
        await self.call(push_one, number)

    async def claim(self, limit: int) -> Sequence[Any]:
        return await self.call(claim_some, limit)

    async def settle(self, claimed: Sequence[Any]) -> None:
        await self.call(settle_all, claimed)


class Owner(OnSQLAlchemy):
    name = "sqlite3 on one owner thread"

    async def open(self, path: Path, synchronous: str) -> None:
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.thread = threading.Thread(target=self.serve, args=(path, synchronous))
        self.thread.start()

    def serve(self, path: Path, synchronous: str) -> None:
        engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            for statement in ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {synchronous}", *SCHEMA):
                driver.execute(statement)
            while (call := self.calls.get()) is not None:
                function, argument, loop, future = call
                driver.execute("BEGIN IMMEDIATE")
                result = function(connection, argument)
                driver.execute("COMMIT")
                loop.call_soon_threadsafe(future.set_result, result)

    async def call(self, function: Callable[[sa.Connection, Any], T], argument: Any) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self.calls.put((function, argument, loop, future))
        return await future

    async def close(self) -> None:
        self.calls.put(None)
        self.thread.join()


class Aio(OnSQLAlchemy):
    name = "aiosqlite, SQLAlchemy async"

    async def open(self, path: Path, synchronous: str) -> None:
        assert async_engine is not None
        self.engine: AsyncEngine = async_engine(f"sqlite+aiosqlite:///{path}", isolation_level="AUTOCOMMIT")
        self.connection: AsyncConnection = await self.engine.connect()
        for statement in ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {synchronous}", *SCHEMA):
            await self.connection.exec_driver_sql(statement)

    async def call(self, function: Callable[[sa.Connection, Any], T], argument: Any) -> T:
        def transaction(connection: sa.Connection) -> T:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            result = function(connection, argument)
            connection.exec_driver_sql("COMMIT")
            return result

        return await self.connection.run_sync(transaction)

    async def close(self) -> None:
        await self.connection.close()
        await self.engine.dispose()


class Whole(Subject):
    name = "SQLQueue, the whole contract"

    async def open(self, path: Path, synchronous: str) -> None:
        self.queue = SQLQueue(f"sqlite:///{path}", synchronous="full" if synchronous == "FULL" else "normal")
        await self.queue.setup()

    async def push(self, number: int) -> None:
        await self.queue.push(Job(f"{number:036d}", "Example", PAYLOAD))

    async def claim(self, limit: int) -> Sequence[Any]:
        return await self.queue.pop_many(limit)

    async def settle(self, claimed: Sequence[Any]) -> None:
        await self.queue.settle([Settlement(job, "ack") for job in claimed])

    async def close(self) -> None:
        await self.queue.close()


KINDS = ("push, one at a time", "claim 1 and settle it", f"claim {K} and settle them")


async def measure(subject: Subject, path: Path, synchronous: str, one_by_one: int, batches: int) -> list[float]:
    """Return nanoseconds per job of one round, for each of `KINDS`."""
    await subject.open(path, synchronous)
    try:
        start = perf_counter_ns()
        for number in range(one_by_one):
            await subject.push(number)
        pushed = perf_counter_ns()
        for _ in range(one_by_one):
            await subject.settle(await subject.claim(1))
        drained = perf_counter_ns()
        for number in range(batches * K):
            await subject.push(number)
        refilled = perf_counter_ns()
        for _ in range(batches):
            await subject.settle(await subject.claim(K))
        end = perf_counter_ns()
    finally:
        await subject.close()
    return [(pushed - start) / one_by_one, (drained - pushed) / one_by_one, (end - refilled) / (batches * K)]


def run(quick: bool) -> list[Table]:
    """Measure all subjects in turns, at both settings of `synchronous`."""
    rounds, one_by_one, batches = (1, 200, 5) if quick else (3, 1_000, 50)
    subjects: list[type[Subject]] = [Raw, Owner, Aio, Whole] if async_engine is not None else [Raw, Owner, Whole]
    tables: list[Table] = []
    for synchronous in ("NORMAL", "FULL"):
        rows: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
        for _ in range(rounds):
            for subject in subjects:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "jobs.db"
                    rows[subject.name].append(asyncio.run(measure(subject(), path, synchronous, one_by_one, batches)))
        for column, kind in enumerate(KINDS):
            table = Table(f"SQLite, WAL, synchronous = {synchronous}: {kind}; ns per job", note=NOTE)
            table.rows = [(name, [figures[column] for figures in measured]) for name, measured in rows.items()]
            tables.append(table)
    return tables


if __name__ == "__main__":
    main(run)
