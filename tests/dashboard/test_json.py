"""JSON twins say what the pages show, in the shapes that are documented, and once while nothing changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
import pytest

from lagoqueue import Job, dispatch
from lagoqueue.monitor import StatsView
from lagoqueue_dashboard.screens.charts import ChartsScreen
from lagoqueue_dashboard.screens.failed import Confirmation, FailedScreen
from lagoqueue_dashboard.screens.failed_job import FailedJobScreen
from lagoqueue_dashboard.screens.health import HealthScreen
from lagoqueue_dashboard.screens.job import JobScreen
from lagoqueue_dashboard.screens.overview import Overview
from lagoqueue_dashboard.screens.queue import QueueScreen
from lagoqueue_dashboard.screens.workers import WorkersScreen
from tests.dashboard import worlds
from tests.dashboard.hostile import Hostile
from tests.dashboard.test_crawl import fill
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import EVERY_WORLD, Welcome, World

TWINS: list[tuple[str, type[msgspec.Struct], dict[str, Any]]] = [
    ("overview", Overview, {}),
    ("queue", QueueScreen, {"name": "mail"}),
    ("queue", QueueScreen, {"name": "mail", "state": "delayed"}),
    ("queue", QueueScreen, {"name": "other", "state": "reserved"}),
    ("job", JobScreen, {"id": "live"}),
    ("failed", FailedScreen, {}),
    ("failed", FailedScreen, {"view": "jobs"}),
    ("failed", FailedScreen, {"page": "1"}),
    ("failed/job", FailedJobScreen, {"id": "f1"}),
    ("failed/confirm", Confirmation, {"action": "retry", "all": "1"}),
    ("failed/confirm", Confirmation, {"action": "forget", "ids": "f1"}),
    ("failed/confirm", Confirmation, {"action": "flush"}),
    ("workers", WorkersScreen, {}),
    ("charts", ChartsScreen, {}),
    ("charts", ChartsScreen, {"queue": "mail", "span": "day"}),
    ("health", HealthScreen, {}),
    ("stats", StatsView, {}),
]


T = TypeVar("T", bound=msgspec.Struct)


class Live(msgspec.Struct, forbid_unknown_fields=True):
    at: datetime
    stale: bool
    csrf: str
    parts: dict[str, str]


def decode(content: bytes, screen: type[T]) -> T:
    """Decode strictly, and encode again: what comes out must be what was sent, field by field."""
    found = msgspec.json.decode(content, type=screen, strict=True)
    assert msgspec.json.decode(msgspec.json.encode(found)) == msgspec.json.decode(content)
    return found


@EVERY_WORLD
async def test_the_shape_of_each_is_its_screen(world: World) -> None:
    await fill(world)
    async with Visitor(served(world.inspector)) as visitor:
        for name, screen, query in TWINS:
            answer = await visitor.get(f"/api/{name}", **query)
            if answer.status_code == 404:
                # A plain inspector knows of no job by its id, nor of a queue in which none waits.
                assert isinstance(world.inspector, worlds.Plain)
                assert name in ("job", "failed/job") or query["name"] == "other"
                continue
            assert answer.status_code == 200, name
            assert decode(answer.content, screen).__class__ is screen


async def test_the_shapes_with_everything_in_them(world: World) -> None:
    hostile = Hostile(world, "text")
    screens: dict[str, type[msgspec.Struct]] = {f"/{name}": screen for name, screen, _ in TWINS} | {"/": Overview}
    async with Visitor(served(await hostile.inspector())) as visitor:
        for path, query in hostile.pages:
            answer = await visitor.get("/api" + ("/overview" if path == "/" else path), **query)
            decode(answer.content, screens[path])


async def test_a_page_and_its_twin_show_the_same(world: World) -> None:
    await fill(world)
    async with Visitor(served(world.inspector)) as visitor:
        overview = decode((await visitor.get("/api/overview")).content, Overview)
        assert overview.headline in (await visitor.page("/")).text
        assert (overview.waiting, overview.delayed, overview.running, overview.failed) == (1, 1, 1, 3)
        failed = decode((await visitor.get("/api/failed", view="jobs")).content, FailedScreen)
        assert [view.id for view in failed.jobs] == ["f3", "f2", "f1"]
        assert (failed.total, failed.acts, failed.searchable, failed.queues) == (3, True, True, {"default": 3})


@EVERY_WORLD
async def test_pages_go_on_from_one_another(world: World) -> None:
    ids = [f"job-{number:03}" for number in range(120)]
    for job_id in ids:
        await world.queue.push(Job(job_id, "Welcome", b"{}", queue="mail"))
    await world.fail(*ids)
    async with Visitor(served(world.inspector)) as visitor:
        lists: list[tuple[str, dict[str, Any]]] = [("/api/queue", {"name": "mail"}), ("/api/failed", {"view": "jobs"})]
        for path, query in lists:
            found: list[str] = []
            page = await visitor.json(path, **query)
            while True:
                found += [job["id"] for job in page["jobs"]]
                if page["next"] is None:
                    break
                step = "after" if page["page"] is None else "page"
                page = await visitor.json(path, **query, **{step: page["next"]})
            assert found == (ids if "queue" in path else ids[::-1])


@pytest.mark.parametrize("name", ["overview", "failed", "workers", "charts", "health", "queue"])
async def test_live_parts_are_sent_once_while_nothing_changes(world: World, name: str) -> None:
    query = {"name": "mail"} if name == "queue" else {}
    await dispatch(world.queue.named("mail"), Welcome(1))
    await world.run()
    await world.queue.push(Job("x", "Welcome", b"{}", queue="mail"), delay=3600)
    async with Visitor(served(world.inspector)) as visitor:
        first = await visitor.get(f"/api/live/{name}", **query)
        assert first.headers["Cache-Control"] == "no-store"
        live = decode(first.content, Live)
        assert (live.stale, bool(live.parts)) == (False, True)
        again = await visitor.get(f"/api/live/{name}", headers={"If-None-Match": first.headers["ETag"]}, **query)
        assert (again.status_code, again.content) == (304, b"")
        await world.fail("f1")
        await visitor.post("/failed/none/forget")  # so that all is read anew
        await visitor.post("/failed/retry", ids="none")
        changed = await visitor.get(f"/api/live/{name}", headers={"If-None-Match": first.headers["ETag"]}, **query)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != first.headers["ETag"]
        assert "1" in changed.json()["parts"]["nav_failed"]


async def test_twins_are_sent_once_while_nothing_changes(world: World) -> None:
    await world.fail("f1")
    async with Visitor(served(world.inspector)) as visitor:
        for path in ("/api/failed", "/api/workers", "/api/stats", "/api/failed/job?id=f1"):
            first = await visitor.get(path)
            headers = {"If-None-Match": first.headers["ETag"]}
            assert (await visitor.get(path, headers=headers)).status_code == 304
            assert (await visitor.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_what_could_not_be_read_is_no_news_that_is_old(world: World) -> None:
    watch = worlds.Watch(world.inspector)
    watch.before = worlds.broken
    async with Visitor(served(watch.inspector)) as visitor:
        first = await visitor.get("/api/workers")
        again = await visitor.get("/api/workers", headers={"If-None-Match": first.headers.get("ETag", "*")})
    assert (first.status_code, again.status_code) == (503, 503)


@pytest.mark.parametrize("name", ["job", "failed_job", "confirm", "error", "stats", "nope", "%252e", "Overview"])
async def test_live_parts_of_no_page(world: World, name: str) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        error = await visitor.json(f"/api/live/{name}", 404)
    assert error["error"]["title"] == "No such page"
