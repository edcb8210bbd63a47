"""`Shop`: a queue on SQLite whose jobs really run and really fail, and dashboards of it that are really served."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from smtplib import SMTPServerDisconnected

import sqlalchemy as sa
from quart import Quart

from lagoqueue import Worker, dispatch
from lagoqueue_dashboard import Access, Viewer, dashboard
from lagoqueue_sql import SQLInspector, SQLQueue
from served import Served

FULL = "/queues/"
"""Where who comes may act."""

FAILED = f"{FULL}failed"

READERS = "/readers/queues/"
"""Where who comes may only look."""

PATIENCE = 15.0
"""Seconds after which a test gives up waiting."""


@dataclass(frozen=True)
class SendWelcomeEmail:
    to: str


@dataclass(frozen=True)
class ImportFile:
    source: str


@dataclass(frozen=True)
class PackParcel:
    order: int


class Shop:
    """What a test acts on beside the browser.

    Attributes:
        url: The database's.
        queue: The queue.
        served: The server of the dashboards, with its `address`.
        mail_works: While it does not, each e-mail fails.
        sent: Whom e-mails were sent to.
        packed: Set when parcels that are being packed may be done.
    """

    def __init__(self, url: str, queue: SQLQueue, served: Served) -> None:
        self.url = url
        self.queue = queue
        self.served = served
        self.mail_works = False
        self.sent: list[str] = []
        self.packed = asyncio.Event()
        self._running = asyncio.Semaphore(0)
        self.worker = Worker(queue.named("emails", "default"), max_retry=1, poll=0.05, concurrency=4)
        self.worker.handle(SendWelcomeEmail, self._send)
        self.worker.handle(ImportFile, self._import)
        self.worker.handle(PackParcel, self._pack)

    async def dispatch(
        self, *payloads: object, delay: float | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Push jobs: e-mails under one label, all else under another."""
        for payload in payloads:
            label = "emails" if isinstance(payload, SendWelcomeEmail) else "default"
            await dispatch(self.queue.named(label), payload, delay=delay, headers=headers)

    async def work(self) -> None:
        """Run what is due, and return when all of it is done or has failed."""
        await self.worker.run(burst=True)

    async def fail(self, *payloads: object, headers: dict[str, str] | None = None) -> None:
        """Push jobs and run them; those that can fail have failed."""
        await self.dispatch(*payloads, headers=headers)
        await self.work()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have the worker run all the while."""
        run = asyncio.create_task(self.worker.run())
        try:
            yield
        finally:
            self.packed.set()
            self.worker.stop()
            await run

    async def until_running(self, parcels: int) -> None:
        """Wait until so many more parcels are being packed."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(parcels):
                await self._running.acquire()

    async def keep_failed(self, number: int) -> None:
        """Have so many failed jobs, as if they had run: one copied many times."""
        await self.fail(ImportFile("if"))
        table = self.queue.metadata.tables["failed_jobs"]
        copied = {column.name: column for column in table.c if column.name not in ("seq", "id")}
        counted = sa.func.json_each(sa.func.json(str(list(range(1, number))))).table_valued("value")
        ids = table.c.id + "-" + sa.cast(counted.c.value, sa.Text)
        rows = sa.select(ids, *copied.values()).select_from(table.join(counted, sa.true()))
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(table.insert().from_select(["id", *copied], rows))
        engine.dispose()

    async def failed(self) -> int:
        """How many failed jobs are kept."""
        return await self.queue.failed_jobs.count()

    async def _send(self, job: SendWelcomeEmail) -> None:
        if not self.mail_works:
            raise SMTPServerDisconnected("Connection unexpectedly closed")
        self.sent.append(job.to)

    async def _import(self, job: ImportFile) -> None:
        ast.parse(job.source, "prices.py")

    async def _pack(self, job: PackParcel) -> None:
        self._running.release()
        await self.packed.wait()


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Shop]:
    """Open a shop with nothing in it."""
    url = f"sqlite:///{folder / 'shop.db'}"
    async with SQLQueue(url, synchronous="normal") as queue:
        await queue.setup()
        inspector = SQLInspector(queue)
        app = Quart(__name__)
        app.register_blueprint(dashboard(inspector, refresh=1, environment="test"))
        readers = dashboard(inspector, refresh=1, name="readers", authorize=lambda request: Viewer(Access.READ, "rita"))
        app.register_blueprint(readers, url_prefix="/readers")
        async with Served(app) as served:
            yield Shop(url, queue, served)
