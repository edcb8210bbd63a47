"""An inspector that raises, hangs or is slow: its pages say so and stay up."""

from __future__ import annotations

import asyncio
import re

import pytest

from lagoqueue import dispatch
from lagoqueue.monitor import DetailedInspector
from lagoqueue_dashboard import actions, reading
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import Plain, Watch, Welcome, World, broken, hanging, only

PAGES = ["/", "/failed", "/failed?view=jobs", "/workers", "/charts", "/health", "/queue?name=default"]
DETAILS = ["/job?id=f1", "/failed/job?id=f1"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what hangs be given up soon."""
    monkeypatch.setattr(reading, "TIMEOUT", 0.05)
    monkeypatch.setattr(actions, "TIMEOUT", 0.05)


@pytest.mark.parametrize("trouble", [broken, hanging])
@pytest.mark.parametrize("kind", ["detailed", "plain"])
@pytest.mark.usefixtures("short")
async def test_nothing_can_be_read(world: World, trouble: object, kind: str) -> None:
    watch = Watch(world.inspector if kind == "detailed" else Plain(world.inspector))
    watch.before = trouble  # type: ignore[assignment]
    reason = "ConnectionError" if trouble is broken else "no answer within 0.05 s"
    async with Visitor(served(watch.inspector)) as visitor:
        for path in PAGES if kind == "detailed" else ["/", "/failed", "/queue?name=default"]:
            page = await visitor.page(path, 503)
            assert "Could not read" in page.text
            assert reason in page.text
            assert "s3cret" not in page.text
            assert "not updated since" in page.text
            twin = await visitor.json("/api" + (path if path != "/" else "/overview"), 503)
            assert any(reason in problem for problem in twin["problems"])
            if path != "/queue?name=default":
                live = await visitor.json("/api/live/" + (path.strip("/") or "overview"))
                assert live["stale"] is True
        for path in DETAILS if kind == "detailed" else []:
            assert "cannot be read" in (await visitor.page(path, 503)).text
            assert (await visitor.json(f"/api{path}", 503))["error"]["status"] == 503
        assert (await visitor.json("/api/stats", 503))["error"]["title"] == "The counters cannot be read"
        watch.before = only(set(), broken)
        for path in ("/failed/f1/retry", "/failed/f1/forget"):
            assert (await visitor.post(path)).status_code == 404


@pytest.mark.parametrize("part", ["stats", "depths", "workers", "activity", "history", "groups", "count"])
async def test_other_parts_are_shown(world: World, part: str) -> None:
    await dispatch(world.queue.named("mail"), Welcome(1))
    watch = Watch(world.inspector)
    watch.before = only({part}, broken)
    async with Visitor(served(watch.inspector)) as visitor:
        page = await visitor.page("/")
        assert "Could not read" in page.text
        assert "mail" in page.text
        overview = await visitor.json("/api/overview")
        assert len(overview["problems"]) == 1
        assert [row["queue"] for row in overview["queues"]] == ["mail"]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", [broken, hanging])
async def test_what_was_read_before_stays_with_its_time(
    world: World, trouble: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dispatch(world.queue.named("mail"), Welcome(1))
    await world.fail("f1")
    watch = Watch(world.inspector)
    app = served(watch.inspector)
    async with Visitor(app) as visitor:
        before = {path: await visitor.page(path) for path in ("/", "/failed?view=jobs", "/failed/job?id=f1")}
        await visitor.post("/theme", theme="dark")
        watch.before = trouble  # type: ignore[assignment]
        assert (await visitor.post("/failed/f1/retry")).status_code == 503  # after which all is read anew
        for path, page in before.items():
            stale = await visitor.page(path)
            assert re.search(r"what is shown is from \d\d:\d\d:\d\d UTC", stale.text)
            assert {"mail", "f1"} & set(re.findall(r"\w+", stale.text)) == {"mail", "f1"} & set(
                re.findall(r"\w+", page.text)
            )
        watch.before = only(set(), broken)
        assert (await visitor.post("/failed/f1/retry")).status_code == 303
        assert "Could not read" not in (await visitor.page("/")).text


@pytest.mark.usefixtures("short")
async def test_reads_that_hang_do_not_pile_up(world: World) -> None:
    watch = Watch(world.inspector)
    watch.before = hanging
    app = served(watch.inspector)
    async with Visitor(app) as visitor:
        answers = await asyncio.gather(*(visitor.get("/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {503}
    assert set(watch.most.values()) == {1}
    assert watch.running.total() == 0


async def test_ten_viewers_cause_one_read(world: World) -> None:
    await world.fail("f1")
    watch = Watch(world.inspector)
    gate, all_ask = asyncio.Event(), asyncio.Event()

    async def slow(name: str) -> None:
        if len(watch.calls) >= 7:
            all_ask.set()
        await gate.wait()

    watch.before = slow
    app = served(watch.inspector)
    visitors = [Visitor(app, name=f"viewer {number}") for number in range(10)]
    asking = [asyncio.create_task(visitor.get("/")) for visitor in visitors]
    async with asyncio.timeout(10):
        await all_ask.wait()
    gate.set()
    assert {(await each).status_code for each in asking} == {200}
    for visitor in visitors:
        assert (await visitor.get("/")).status_code == 200
        await visitor.client.aclose()
    assert set(watch.calls.values()) == {1}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trouble", [broken, hanging])
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/failed/f1/retry", {}),
        ("/failed/f1/forget", {}),
        ("/failed/flush", {}),
        ("/failed/retry", {"ids": ["f1", "f2"]}),
        ("/failed/forget", {"all": "1"}),
    ],
)
async def test_an_action_that_does_not_end_well(
    world: World, trouble: object, path: str, form: dict[str, object]
) -> None:
    await world.fail("f1", "f2")
    watch = Watch(world.inspector)
    async with Visitor(served(watch.inspector)) as visitor:
        token = await visitor.token()
        watch.before = trouble  # type: ignore[assignment]
        answer = await visitor.client.post(f"/admin/queues{path}", data={"csrf_token": token, **form})
        assert answer.status_code == 503
        assert "It is not known whether that worked" in answer.text
        assert "s3cret" not in answer.text
    assert await world.kept() == ["f2", "f1"]


def test_a_watch_sees_what_a_detailed_inspector_is(world: World) -> None:
    assert isinstance(Watch(world.inspector).inspector, DetailedInspector)
    assert not isinstance(Watch(Plain(world.inspector)).inspector, DetailedInspector)
