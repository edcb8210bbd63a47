"""SQLite from a coroutine: one thread that owns the connection, or aiosqlite under SQLAlchemy's async engine?

The first table answers that with the same statements, each operation one transaction, awaited one
at a time; raw sqlite3 is what the file itself allows. The second puts `SQLQueue` beside raw sqlite3.
aiosqlite is measured where it is installed (with greenlet); nothing else needs it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import sqlalchemy as sa

from lagoqueue import Job, Settlement
from lagoqueue_sql import SQLQueue

try:
    import aiosqlite
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
except ImportError:
    aiosqlite = None  # type: ignore[assignment]

T = TypeVar("T")

ROUNDS = 3
ONE_BY_ONE = 1_000
BATCHED = 5_000
K = 100
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
        self.engine: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{path}", isolation_level="AUTOCOMMIT")
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


Figures = dict[str, float]


async def measure(subject: Subject, path: Path, synchronous: str) -> Figures:
    """Return operations per second of one round."""
    await subject.open(path, synchronous)
    try:
        figures: Figures = {}
        started = perf_counter()
        for number in range(ONE_BY_ONE):
            await subject.push(number)
        figures["push, one at a time"] = ONE_BY_ONE / (perf_counter() - started)
        started = perf_counter()
        for _ in range(ONE_BY_ONE):
            await subject.settle(await subject.claim(1))
        figures["claim 1 + settle"] = ONE_BY_ONE / (perf_counter() - started)
        for number in range(BATCHED):
            await subject.push(number)
        started = perf_counter()
        for _ in range(BATCHED // K):
            await subject.settle(await subject.claim(K))
        figures[f"claim {K} + settle"] = BATCHED / (perf_counter() - started)
    finally:
        await subject.close()
    return figures


def main() -> None:
    subjects: list[type[Subject]] = [Raw, Owner, Aio, Whole] if aiosqlite is not None else [Raw, Owner, Whole]
    for synchronous in ("NORMAL", "FULL"):
        rounds: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
        for _ in range(ROUNDS):
            for subject in subjects:
                with tempfile.TemporaryDirectory() as folder:
                    figures = asyncio.run(measure(subject(), Path(folder) / "jobs.db", synchronous))
                rounds[subject.name].append(figures)
        show(synchronous, rounds)


def show(synchronous: str, rounds: dict[str, list[Figures]]) -> None:
    """Print the medians, and each as a ratio to raw sqlite3 of the same run."""
    columns = list(rounds[Raw.name][0])
    print(f"\nSQLite in WAL mode, synchronous = {synchronous}; jobs/s, median of {ROUNDS} rounds, ratio to raw sqlite3")
    print(" " * 30 + "".join(f"{column:>28}" for column in columns))
    base = {column: median(figures[column] for figures in rounds[Raw.name]) for column in columns}
    for name, measured in rounds.items():
        values = [median(figures[column] for figures in measured) for column in columns]
        cells = [f"{value:>20,.0f} ({value / base[column]:.2f})" for value, column in zip(values, columns, strict=True)]
        print(f"{name:<30}" + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main()
