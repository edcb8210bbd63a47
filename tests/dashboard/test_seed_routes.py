"""The routes that the Go library's dashboard has too, over every kind of inspector."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lagoqueue import MemoryQueue, dispatch, dispatch_many
from lagoqueue.monitor import History, MemoryInspector, Stats
from lagoqueue_dashboard import dashboard
from tests.dashboard import worlds
from tests.dashboard.visits import MOUNT, SAME_ORIGIN, SECRET, Visitor, served
from tests.dashboard.worlds import EVERY_WORLD, Welcome, World

COUNTERS = {"queue", "pushed", "processed", "failed", "retried", "pending", "throughput"}

ACTIONS = ["/failed/f1/retry", "/failed/f1/forget", "/failed/flush"]


@EVERY_WORLD
async def test_the_overview(world: World) -> None:
    await dispatch_many(world.queue.named("mail & co"), map(Welcome, range(3)))
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page("/")
    assert "mail & co" in page.text
    assert f"{MOUNT}/queue?name=mail+%26+co" in page.urls


@EVERY_WORLD
async def test_the_failed_jobs(world: World) -> None:
    await world.fail("f1", error=ValueError("no such user"))
    await world.fail("f2", name="Invoice", error=KeyError("tax"))
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page("/failed", view="jobs")
        for shown in ("f1", "f2", "Welcome", "Invoice", "ValueError: no such user", "KeyError: 'tax'"):
            assert shown in page.text
        assert f"{MOUNT}/failed/f1/retry" in page.urls
        assert "no such user" in (await visitor.page("/failed")).text


@EVERY_WORLD
async def test_no_failed_jobs(world: World) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page("/failed")
    assert "Nothing has failed." in page.text
    assert "Retry" not in page.text


@EVERY_WORLD
async def test_retry_puts_a_job_back_and_it_runs(world: World) -> None:
    await world.fail("f1", payload=b'{"user":7}')
    await world.fail("f2")
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/f1/retry")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{MOUNT}/failed")
        page = await visitor.page("/failed")
        assert "1 job was put back in the queue." in page.text
        assert "1 job was put back in the queue." not in (await visitor.page("/failed")).text
    assert (await world.kept(), await world.live()) == (["f2"], ["f1"])
    await world.run()
    assert world.ran == [7]


@EVERY_WORLD
async def test_forget_drops_a_job(world: World) -> None:
    await world.fail("f1", "f2")
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/f1/forget")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{MOUNT}/failed")
        assert "1 job was forgotten." in (await visitor.page("/failed")).text
    assert (await world.kept(), await world.live()) == (["f2"], [])


@EVERY_WORLD
async def test_flush_drops_all(world: World) -> None:
    await world.fail("f1", "f2", "f3")
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/flush")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{MOUNT}/failed")
        assert "3 jobs were forgotten." in (await visitor.page("/failed")).text
    assert (await world.kept(), await world.live()) == ([], [])


@EVERY_WORLD
async def test_the_counters(world: World) -> None:
    await dispatch_many(world.queue.named("mail"), map(Welcome, range(3)))
    await dispatch(world.queue, Welcome(1))
    await world.run()
    async with Visitor(served(world.inspector)) as visitor:
        found = await visitor.json("/api/stats")
    assert set(found) == {"queues", "totals"}
    assert all(set(row) == COUNTERS for row in [*found["queues"], found["totals"]])
    rows = {row.pop("queue"): row for row in found["queues"]}
    assert list(rows) == ["default", "mail"]
    default, mail = rows["default"], rows["mail"]
    assert (mail["pushed"], mail["processed"], mail["pending"]) == (3, 0, 3)
    assert (default["pushed"], default["pending"]) == (1, 0)
    assert found["totals"]["queue"] == ""
    assert found["totals"]["pushed"] == 4


async def test_what_workers_do_is_counted(world: World) -> None:
    stats = Stats()
    for count in (stats.on_pushed, stats.on_pushed, stats.on_processed, stats.on_failed, stats.on_retried):
        count("mail")
    async with Visitor(served(MemoryInspector(stats))) as visitor:
        found = await visitor.json("/api/stats")
    (row,) = found["queues"]
    row["throughput"] = found["totals"]["throughput"] = 1
    counts = {"pushed": 2, "processed": 1, "failed": 1, "retried": 1, "pending": 0, "throughput": 1}
    assert found == {"queues": [{"queue": "mail", **counts}], "totals": {"queue": "", **counts}}


@EVERY_WORLD
async def test_without_a_token_nothing_changes(world: World) -> None:
    await world.fail("f1")
    before = await world.state()
    async with Visitor(served(world.inspector)) as visitor:
        await visitor.token()
        for route, form in itertools.product(ACTIONS, [None, {}, {"csrf_token": ""}, {"csrf_token": "x" * 40}]):
            answer = await visitor.client.post(MOUNT + route, data=form, headers=SAME_ORIGIN)
            assert answer.status_code == 403
            assert "Nothing was done" in answer.text
            assert await world.state() == before


@EVERY_WORLD
async def test_an_id_under_which_nothing_is_kept(world: World) -> None:
    await world.fail("f1")
    before = await world.state()
    async with Visitor(served(world.inspector)) as visitor:
        for action in ("retry", "forget"):
            answer = await visitor.post(f"/failed/f2/{action}")
            assert answer.status_code == 404
            assert "No such failed job" in answer.text
    assert await world.state() == before


@EVERY_WORLD
async def test_actions_are_posts(world: World) -> None:
    await world.fail("f1")
    before = await world.state()
    async with Visitor(served(world.inspector)) as visitor:
        for route, method in itertools.product(ACTIONS, ["GET", "HEAD", "PUT", "DELETE", "PATCH"]):
            answer = await visitor.get(route, method=method)
            assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (405, {"POST", "OPTIONS"})
    assert await world.state() == before


@pytest.mark.parametrize("parts", list(itertools.product([False, True], repeat=4)))
async def test_any_part_of_an_inspector_may_be_missing(parts: tuple[bool, ...]) -> None:
    has_stats, has_store, has_queue, has_history = parts
    async with MemoryQueue() as queue:
        await dispatch(queue, Welcome(1))
        stats, history = Stats(), History()
        inspector = MemoryInspector(
            stats if has_stats else None,
            queue.failed_jobs if has_store else None,
            queue=queue if has_queue else None,
            history=history if has_history else None,
        )
        async with Visitor(served(inspector)) as visitor:
            for path in ("/", "/failed", "/workers", "/charts", "/health"):
                await visitor.page(path)
                await visitor.json("/api" + ("/overview" if path == "/" else path))
                await visitor.json("/api/live/" + (path.strip("/") or "overview"))
            assert await visitor.json("/api/stats") == {"queues": [], "totals": _nothing()}
            known = await visitor.get("/queue", name="default")
            assert known.status_code == (200 if has_queue else 404)
            for route in ("/failed/f1/retry", "/failed/f1/forget"):
                assert (await visitor.post(route)).status_code == (404 if has_store else 409)
            flushed = await visitor.post("/failed/flush")
            assert flushed.status_code == (303 if has_store else 409)
            assert has_store or "has no failed-jobs store" in flushed.text


def _nothing() -> dict[str, Any]:
    return {"queue": ""} | dict.fromkeys(COUNTERS - {"queue"}, 0)


async def test_an_application_may_have_two() -> None:
    async with worlds.memory() as one, worlds.memory() as other:
        for each in (one, other):
            await each.fail("f1")
        app = served(one.inspector)
        second = dashboard(other.inspector, authorize=lambda request: True, name="second", secret=SECRET)
        app.register_blueprint(second, url_prefix="/second")
        async with Visitor(app, mount="/second/queues") as visitor:
            answer = await visitor.post("/failed/f1/forget")
            assert answer.headers["Location"] == "/second/queues/failed"
            urls = (await visitor.page("/failed")).urls
            assert all(url.startswith("/second/queues/") for url in urls if not url.startswith("#"))
        assert (await one.kept(), await other.kept()) == (["f1"], [])
