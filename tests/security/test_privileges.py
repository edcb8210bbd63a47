"""The rights that docs/security.md grants are enough for what it says, and the lesser ones are not enough for more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

import servers
from lagoqueue import DriverError, Job, Worker
from lagoqueue_sql import SQLInspector, SQLQueue
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import Welcome
from tests.security.told import Log

pytestmark = pytest.mark.security

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text("utf-8")
PASSWORD = "a password of theirs"
JOB = Job("a", "Welcome", b'{"user":1}')


def grants(kind: str) -> list[str]:
    """Return the statements of the page for a kind of server."""
    title = {"postgresql": "PostgreSQL", "mariadb": "MySQL and MariaDB"}[kind]
    block = re.search(rf"^#+ {title}\n.*?^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    return [each.strip() for each in re.sub("--.*", "", block[1]).split(";") if each.strip()]


class Shop:
    """A database whose users may what the page says: `setup`, `app`, `producer` and `viewer`."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server
        self.url = sa.make_url(server.create_database())
        self._names = {role: server.create_user(PASSWORD) for role in ("setup", "app", "producer", "viewer")}

    def grant(self, which: Callable[[str], bool]) -> int:
        """Run those of the page's statements, and return how many those are."""
        found = [each for each in grants(self.server.kind) if which(each)]
        for each in found:
            statement = re.sub(r"\bshop_(\w+)", lambda role: self._who(role[1]), each)
            self.server.sql(re.sub(r"\bshop\.", f"{self.url.database}.", statement), self.url.database)
        return len(found)

    def _who(self, role: str) -> str:
        return self._names[role] + ("@'127.0.0.1'" if self.server.kind == "mariadb" else "")

    def of(self, role: str) -> sa.URL:
        """Return the URL of one of the users."""
        return self.url.set(username=self._names[role], password=PASSWORD)

    def close(self) -> None:
        self.server.drop_database(self.url.render_as_string())


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> servers.Server:
    found: servers.Server = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def set_up(server: servers.Server) -> AsyncIterator[Shop]:
    """A shop whose tables `setup` has made, twice, as the user who may do that."""
    shop = Shop(server)
    try:
        assert shop.grant(lambda statement: "shop_setup" in statement) > 0
        async with SQLQueue(shop.of("setup")) as queue:
            await queue.setup()
            await queue.setup()
        assert shop.grant(lambda statement: "shop_setup" not in statement) > 2
        yield shop
    finally:
        shop.close()


async def test_the_application_and_its_workers_can_do_all_but_change_tables(server: servers.Server) -> None:
    with Log() as log:
        async with set_up(server) as shop, SQLQueue(shop.of("app")) as queue:
            ran: list[str] = []
            worker = Worker(queue, max_retry=2, backoff=0.0)

            @worker.handle(Welcome)
            async def welcome(payload: Welcome) -> None:
                ran.append(payload.password)
                if payload.user == 2:
                    raise ValueError("no such user")

            await queue.setup()
            await queue.push(JOB)
            await asyncio.gather(*(queue.push(Job(f"{number}", "Welcome", JOB.payload)) for number in range(5)))
            await queue.push_many([Job(each, "Welcome", b'{"user":2}') for each in ("x", "y")])
            await queue.release(await queue.pop(wait=1))
            await worker.run(burst=True)
            assert len(ran) == 6 + 2 * 2
            await queue.failed_jobs.retry("x")
            async with queue.completing(await queue.pop()):
                pass
            assert await queue.failed_jobs.flush() == 1
            assert (await SQLInspector(queue).stats()).totals.processed == 7
            await every_page(queue, "retry", 404)
            with pytest.raises(DriverError):
                await SQLQueue(shop.of("app"), table="others").setup()
    assert "could not" not in log.text
    assert "not listening" not in log.text


async def every_page(queue: SQLQueue, action: str, status: int) -> None:
    """Look at every page, and try an action."""
    async with Visitor(served(SQLInspector(queue))) as visitor:
        for path in ("/", "/queue?name=default", "/failed", "/failed?view=jobs", "/workers", "/charts"):
            assert "Could not read" not in (await visitor.page(path)).text
        checks = (await visitor.json("/api/health"))["checks"]
        assert {check["level"] for check in checks} <= {"good", "warn"}
        assert not [check for check in checks if "could not be looked at" in check["finding"]]
        assert (await visitor.post(f"/failed/z/{action}")).status_code == status


async def test_what_only_pushes_can_push_and_not_read_what_failed(server: servers.Server) -> None:
    with Log() as log:
        async with set_up(server) as shop:
            async with SQLQueue(shop.of("producer")) as queue:
                await queue.push(JOB)
                assert not await queue.push(JOB, exist_ok=True)
                await asyncio.gather(*(queue.push(Job(f"{number}", "Welcome", JOB.payload)) for number in range(5)))
                await queue.push_many([Job("x", "Welcome", b"{}"), Job("y", "Welcome", b"{}")])
                assert (
                    await queue.push_many([Job("x", "Welcome", b"{}"), Job("z", "Welcome", b"{}")], exist_ok=True) == 1
                )
                for refused in (
                    queue.pop,
                    queue.failed_jobs.list,
                    queue.failed_jobs.flush,
                    SQLInspector(queue).workers,
                ):
                    with pytest.raises(DriverError, match="may not do that"):
                        await refused()
            async with SQLQueue(shop.of("app")) as queue:
                assert (await SQLInspector(queue).stats()).totals.pushed == 9
    assert "could not" not in log.text
    assert "not listening" not in log.text


async def test_who_only_looks_sees_all_and_changes_nothing(server: servers.Server) -> None:
    async with set_up(server) as shop:
        async with SQLQueue(shop.of("app")) as queue:
            await queue.push_many([JOB, Job("z", "Welcome", b"{}")])
            await queue.fail(await queue.pop())
            await queue.fail(await queue.pop())
            await queue.push(Job("waits", "Welcome", b"{}"))
        async with SQLQueue(shop.of("viewer")) as queue:
            await every_page(queue, "forget", 503)
            assert [view.id for view in (await queue.failed_jobs.search()).jobs] == ["z", "a"]
            await queue.setup()
            for refused in (queue.failed_jobs.flush, queue.pop, lambda: queue.push(Job("new", "Welcome", b"{}"))):
                with pytest.raises(DriverError, match="may not do that"):
                    await refused()
            await queue.failed_jobs.get("z")
