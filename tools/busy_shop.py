"""A shop on a busy day: jobs that wait and run, a trail of failures, and a day behind it.

The jobs run and fail as jobs do, and the workers work. Only the clock is turned: when each job failed or
came due is written into the tables, where it runs, and what was done the day before (`busy_history.py`).
"""

from __future__ import annotations

import ast
import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from smtplib import SMTPServerDisconnected

import msgspec
import sqlalchemy as sa
from quart import Quart

import busy_jobs
import lagoqueue
from busy_history import write_history
from lagoqueue import Handlers, Worker, dispatch
from lagoqueue_dashboard import dashboard
from lagoqueue_sql import SQLInspector, SQLQueue
from places import places
from served import Served

PATIENCE = 30.0
"""Seconds that the workers may take to have their hands full."""

HOSTS = {
    ("critical",): ("web-1", 412, 4),
    ("default", "emails"): ("worker-1", 27, 8),
    ("emails", "default"): ("worker-2", 31, 8),
    ("reports",): ("reports-1", 9, 2),
}
"""For each worker its queues: its host, its process and its slots."""

MAIL_FAILED = (2_340, 2_300, 2_210, 2_150, 1_990, 1_770, 1_640, 185)
"""Seconds ago at which an e-mail failed."""

FILES = {
    str(Path(lagoqueue.__file__).parents[1]): "/srv/shop/.venv/lib/python3.13/site-packages",
    str(Path(__file__).parent / "busy_shop.py"): "/srv/shop/jobs.py",
}
"""Where the files of tracebacks are on those computers."""

TICK = 5.0
"""Seconds after which what is so and so long ago is written anew."""

LEGACY = {
    "prices_2009.py": 'print "%d prices" % len(prices)\n',
    "discounts.py": "discount = 10percent\n",
    "vat.py": "def vat(amount):\nreturn amount * 0.2\n",
}
"""Sources that no Python 3 parses."""


class BusyShop:
    """Fills a queue, and keeps its workers at work.

    Args:
        url: The database.
        queue: The queue in it, empty.
    """

    def __init__(self, url: str, queue: SQLQueue) -> None:
        self._url = url
        self._engine = sa.create_engine(url)
        self._queue = queue
        self._chance = random.Random(4)
        self._failing = True
        self._full = asyncio.Semaphore(0)
        self._closing = asyncio.Event()
        self._waiting: dict[str, float] = {}
        self._handlers = Handlers()
        for payload_type in busy_jobs.HANDLED:
            self._handlers.handle(payload_type, self._run)

    async def fill(self, folder: Path) -> None:
        """Have jobs fail, and a day behind them.

        Args:
            folder: Where to write files that jobs read.
        """
        failures: list[tuple[float, str, object]] = [
            *((age, "emails", busy_jobs.email(40 + n)) for n, age in enumerate(MAIL_FAILED)),
            *((age, "default", busy_jobs.RecalculateQuota(age % 90)) for age in (480, 300, 75)),
            *((age, "reports", busy_jobs.report(month)) for month, age in ((8, 9_100), (9, 1_330))),
        ]
        for age, (name, source) in zip((4_900.0, 4_870.0, 2_460.0), LEGACY.items(), strict=True):
            (folder / name).write_text(source)
            failures.append((age, "default", busy_jobs.IndexFile(str(folder / name))))
        everything = self._queue.named("default", "emails", "reports")
        worker = Worker(everything, max_retry=1, handlers=self._handlers, unknown_grace=0)
        for age, label, payload in sorted(failures, key=lambda failure: -failure[0]):
            job_id = await self._push(label, payload, age, {"trace-id": f"4bf92f3577b3{int(age):04x}"})
            if label == "reports":
                self._write("jobs", job_id, attempts=3)  # as three workers left it that died
            await worker.run(burst=True)
            self._write("failed_jobs", job_id, failed_at=_micros(age), available_at=_micros(age + 1), attempts=3)
        with self._engine.begin() as connection:
            table = self._queue.metadata.tables["failed_jobs"]
            for here, there in FILES.items():
                connection.execute(table.update().values(traceback=sa.func.replace(table.c.traceback, here, there)))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have the workers' hands full, and more to do."""
        self._failing = False
        queues = [SQLQueue(self._url, synchronous="normal") for _ in HOSTS]  # as their processes have each its own
        workers = [
            Worker(queue.named(*labels), handlers=self._handlers, concurrency=slots)
            for queue, (labels, (_, _, slots)) in zip(queues, HOSTS.items(), strict=True)
        ]
        runs = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            busy: list[tuple[str, object]] = [("reports", busy_jobs.report(10))]
            busy += [("critical", busy_jobs.charge(n)) for n in range(2)]
            busy += [("default", busy_jobs.image(n)) for n in range(11)]
            busy += [("emails", busy_jobs.email(90 + n)) for n in range(5)]
            for label, payload in busy:
                await self._push(label, payload, 60)
            async with asyncio.timeout(PATIENCE):
                for _ in busy:
                    await self._full.acquire()
            await self._queue_up()
            self._rename()
            self._turn_the_clock()
            ticking = asyncio.create_task(self._tick())
            try:
                yield
            finally:
                ticking.cancel()
        finally:
            self._closing.set()
            for worker in workers:
                worker.stop()
            await asyncio.gather(*runs)
            for queue in queues:
                await queue.close()
            self._engine.dispose()

    async def _queue_up(self) -> None:
        """Have more jobs than hands: some late, some for later."""
        for number in range(80):
            age = 14 - number / 6
            self._waiting[await self._push("default", busy_jobs.image(100 + number), age)] = age
        for number in range(46):
            age = 250 - 5 * number
            self._waiting[await self._push("emails", busy_jobs.email(200 + number), age)] = age
        for number in range(31):
            await self._push("emails", busy_jobs.email(300 + number), 0, delay=600 + 300 * number)
        for number in range(12):
            await self._push("reports", busy_jobs.report(number + 1), 0, delay=3_600 * (number + 1))

    def _rename(self) -> None:
        """Have the workers be on other computers, for hours."""
        table = self._queue.metadata.tables["lagoqueue_workers"]
        with self._engine.begin() as connection:
            for worker, queues in connection.execute(sa.select(table.c.id, table.c.queues)).all():
                host, pid, _ = HOSTS[tuple(msgspec.json.decode(queues))]
                values = {"host": host, "pid": pid, "started_at": _micros(self._chance.uniform(20_000, 90_000))}
                connection.execute(table.update().where(table.c.id == worker).values(values))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._turn_the_clock()

    def _turn_the_clock(self) -> None:
        """Have all be as long ago as it was."""
        jobs = self._queue.metadata.tables["jobs"]
        with self._engine.begin() as connection:
            write_history(connection, self._queue.metadata)
            for job_id, age in self._waiting.items():
                connection.execute(jobs.update().where(jobs.c.id == job_id).values(available_at=_micros(age)))
            running = connection.execute(
                sa.select(jobs.c.id).where(jobs.c.reserved_at.is_not(None)).order_by(jobs.c.seq)
            )
            for place, (job_id,) in enumerate(running.all()):
                age = 1 + place * 7 % 50
                values = {"available_at": _micros(age + 1), "reserved_at": _micros(age)}
                connection.execute(jobs.update().where(jobs.c.id == job_id).values(values))

    def _write(self, table: str, job_id: str, **values: int) -> None:
        """Write over columns of a job."""
        found = self._queue.metadata.tables[table]
        with self._engine.begin() as connection:
            connection.execute(found.update().where(found.c.id == job_id).values(values))

    async def _push(
        self, label: str, payload: object, age: float, headers: dict[str, str] | None = None, delay: float | None = None
    ) -> str:
        """Push a job whose id says that it was dispatched some seconds ago."""
        stamp = int((time.time() - age - 1) * 1000)
        job_id = str(uuid.UUID(int=stamp << 80 | 7 << 76 | 2 << 62 | self._chance.getrandbits(62)))
        view = self._queue.named(label)
        return (await dispatch(view, payload, id=job_id, headers=headers, delay=delay)).id

    async def _run(self, job: object) -> None:
        match job:
            case busy_jobs.SendWelcomeEmail() if self._failing:
                await _deliver(job)
            case busy_jobs.IndexFile(path):
                _parse(Path(path))
            case _:
                self._full.release()
                await self._closing.wait()


@dataclass(frozen=True)
class Busy:
    """A busy shop that is served.

    Attributes:
        address: Of the server.
        places: The path of every page, by name; see `places`.
    """

    address: str
    places: dict[str, str]


@asynccontextmanager
async def open_busy_shop(folder: Path) -> AsyncIterator[Busy]:
    """Open a busy shop, with its database in a folder that is thrown away, and serve its dashboard."""
    url = f"sqlite:///{folder / 'shop.db'}"
    async with SQLQueue(url, synchronous="normal") as queue:
        await queue.setup()
        shop = BusyShop(url, queue)
        await shop.fill(folder)
        async with shop.working():
            app = Quart(__name__)
            inspector = SQLInspector(queue)
            app.register_blueprint(dashboard(inspector, title="shop", environment="production"))
            async with Served(app) as served:
                yield Busy(served.address, await places(inspector))


async def _deliver(job: busy_jobs.SendWelcomeEmail) -> None:
    raise SMTPServerDisconnected("Connection unexpectedly closed")


def _parse(file: Path) -> None:
    ast.parse(file.read_text(), file.name)


def _micros(age: float) -> int:
    return int((time.time() - age) * 1e6)
