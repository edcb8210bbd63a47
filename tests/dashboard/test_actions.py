"""What is done to failed jobs, by one viewer or by two at once, and who is told of it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from lagoqueue import Job, dispatch
from lagoqueue.monitor import FailedFilter, MemoryInspector
from lagoqueue_dashboard import Access, Action, Done, Viewer, actions
from lagoqueue_dashboard.reading import Reader
from tests.dashboard.documents import parse
from tests.dashboard.visits import MOUNT, SAME_ORIGIN, Visitor, served
from tests.dashboard.worlds import DETAILED_WORLDS, EVERY_WORLD, Plain, Watch, Welcome, World

EVERY_POST: list[tuple[str, dict[str, Any]]] = [
    ("/failed/f1/retry", {}),
    ("/failed/f1/forget", {}),
    ("/failed/retry", {"ids": ["f1", "f2"]}),
    ("/failed/forget", {"ids": ["f1", "f2"]}),
    ("/failed/retry", {"all": "1"}),
    ("/failed/forget", {"all": "1", "kind": "ValueError"}),
    ("/failed/flush", {}),
]


# --- Twice, and by two --------------------------------------------------------------------------------


@EVERY_WORLD
async def test_a_double_click_on_retry(world: World) -> None:
    await world.fail("f1", payload=b'{"user":7}')
    async with Visitor(served(world.inspector)) as visitor:
        form = {"csrf_token": await visitor.token()}
        answers = await asyncio.gather(
            *(visitor.client.post(f"{MOUNT}/failed/f1/retry", data=form, headers=SAME_ORIGIN) for _ in range(2))
        )
        assert sorted(answer.status_code for answer in answers) == [303, 404]
        (second,) = (answer for answer in answers if answer.status_code == 404)
        assert "It was retried or forgotten already" in second.text
    assert (await world.kept(), await world.live()) == ([], ["f1"])
    await world.run()
    assert world.ran == [7]


@EVERY_WORLD
@pytest.mark.parametrize("others", ["retry", "forget"])
async def test_two_browsers_act_on_one_job(world: World, others: str) -> None:
    await world.fail("f1", "f2")
    app = served(world.inspector)
    async with Visitor(app, "ada") as ada, Visitor(app, "bob") as bob:
        tokens = await ada.token(), await bob.token()
        first = await ada.client.post(f"{MOUNT}/failed/f1/{others}", data={"csrf_token": tokens[0]})
        second = await bob.client.post(f"{MOUNT}/failed/f1/forget", data={"csrf_token": tokens[1]})
        assert (first.status_code, second.status_code) == (303, 404)
        third = await bob.client.post(f"{MOUNT}/failed/retry", data={"csrf_token": tokens[1], "ids": ["f1", "f2"]})
        assert third.status_code == 303
        said = (await bob.page("/failed")).text
        assert "1 job was put back in the queue. 1 job was no longer there." in said
    assert await world.kept() == []
    assert await world.live() == (["f1", "f2"] if others == "retry" else ["f2"])


@EVERY_WORLD
async def test_a_job_whose_id_is_live_is_not_doubled(world: World) -> None:
    await world.fail("f1", "f2")
    await world.queue.push(Job("f1", "Welcome", b'{"user":1}', queue="default"))
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/f1/retry")
        assert answer.status_code == 409
        assert "A job with this id is live" in answer.text
        assert (await visitor.post("/failed/retry", ids=["f1", "f2"])).status_code == 303
        said = (await visitor.page("/failed")).text
        assert "1 job was put back in the queue. 1 job was left: a job with the same id is waiting or running." in said
    assert (await world.kept(), await world.live()) == (["f1"], ["f1", "f2"])


@DETAILED_WORLDS
async def test_the_page_of_a_job_whose_id_is_live_offers_no_retry(world: World) -> None:
    await world.fail("f1")
    await world.queue.push(Job("f1", "Welcome", b'{"user":1}', queue="default"))
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page("/failed/job", id="f1")
    assert "It cannot be retried now." in page.text
    assert f"{MOUNT}/failed/f1/retry" not in page.urls


# --- Many ---------------------------------------------------------------------------------------------


@DETAILED_WORLDS
async def test_all_that_match(world: World) -> None:
    await world.fail("f1", "f2", error=ValueError("no"))
    await world.fail("f3", error=KeyError("no"))
    async with Visitor(served(world.inspector)) as visitor:
        confirm = await visitor.page("/failed/confirm", action="retry", all="1", kind="ValueError")
        assert "Retry 2 failed jobs?" in confirm.text
        fields = {each["name"]: each["value"] for tag, each in confirm.elements if tag == "input"}
        await world.fail("f4", error=ValueError("after the page was opened"))
        answer = await visitor.client.post(f"{MOUNT}/failed/retry", data=_own(fields))
        assert answer.status_code == 303
        assert "2 jobs were put back in the queue." in (await visitor.page("/failed")).text
    assert (await world.kept(), await world.live()) == (["f4", "f3"], ["f1", "f2"])


def _own(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in ("page", "query")}


@EVERY_WORLD
async def test_those_that_are_selected(world: World) -> None:
    await world.fail("f1", "a/b", "f3")
    async with Visitor(served(world.inspector)) as visitor:
        ids = [value for value in (await visitor.page("/failed", view="jobs")).inputs("ids") if value != "f3"]
        confirm = await visitor.page("/failed/confirm", action="forget", ids=ids, back="view=jobs&queue=default")
        assert "Forget 2 failed jobs?" in confirm.text
        answer = await visitor.post("/failed/forget", ids=confirm.inputs("ids"), back=confirm.inputs("back")[0])
        assert answer.headers["Location"] == f"{MOUNT}/failed?view=jobs&queue=default"
    assert await world.kept() == ["f3"]


async def test_all_that_match_needs_an_inspector_that_can(world: World) -> None:
    await world.fail("f1")
    async with Visitor(served(Plain(world.inspector))) as visitor:
        answer = await visitor.post("/failed/retry", all="1")
        assert answer.status_code == 400
        assert "select the jobs that are meant" in answer.text
    assert await world.kept() == ["f1"]


@DETAILED_WORLDS
async def test_a_flush_of_very_many_shows_how_far_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "TURN", -1.0)
    await world.fail(*(f"job-{number}" for number in range(1005)))
    async with Visitor(served(world.inspector)) as visitor:
        page = parse((await visitor.post("/failed/flush")).text)
        (form,) = (each for tag, each in page.elements if tag == "form" and "flush" in each.get("action", ""))
        fields = {each["name"]: each["value"] for tag, each in page.elements if tag == "input"}
        assert (await visitor.client.post(form["action"], data=_own(fields))).status_code == 303
        assert "1,005 jobs were forgotten." in (await visitor.page("/failed")).text
    assert await world.kept() == []


@DETAILED_WORLDS
async def test_an_action_on_very_many_shows_how_far_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "TURN", -1.0)
    ids = [f"job-{number}" for number in range(1005)]
    await world.fail(*ids)
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/forget", all="1", queue="default")
        assert answer.status_code == 200
        page = parse(answer.text)
        assert "1,000 jobs forgotten so far" in page.text
        assert await world.kept() == ids[:999:-1]
        fields = {each["name"]: each["value"] for tag, each in page.elements if tag == "input"}
        assert fields["queue"] == "default"
        answer = await visitor.client.post(f"{MOUNT}/failed/forget", data=_own(fields))
        assert answer.status_code == 303
        assert "1,005 jobs were forgotten." in (await visitor.page("/failed")).text
    assert await world.kept() == []


# --- Where one is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("", "/failed"),
        ("view=jobs", "/failed?view=jobs"),
        ("view=groups&kind=ValueError&name=A+B", "/failed?view=groups&name=A+B&kind=ValueError"),
        ("view=tree", "/failed"),
        ("within=year&view=jobs", "/failed"),
        ("_external=1&_scheme=javascript&_anchor=x&endpoint=y&page=3&after=z", "/failed"),
        ("//evil.example/", "/failed"),
        ("https://evil.example/?a=b", "/failed"),
        ("kind=%0d%0aSet-Cookie:+x=y", "/failed?kind=%0D%0ASet-Cookie:+x%3Dy"),
        ("&".join(f"x{number}=1" for number in range(5000)), "/failed"),
        ("\0", "/failed"),
        ("kind=%00", "/failed"),
    ],
)
async def test_one_is_sent_to_no_other_place(world: World, back: str, location: str) -> None:
    await world.fail("f1")
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/f1/forget", back=back)
    assert (answer.status_code, answer.headers["Location"]) == (303, MOUNT + location)


# --- Who may, and who is told -------------------------------------------------------------------------


@EVERY_WORLD
async def test_who_may_only_look_changes_nothing(world: World) -> None:
    await world.fail("f1", "f2")
    before = await world.state()
    async with Visitor(served(world.inspector), access=Access.READ) as visitor:
        page = await visitor.page("/failed", view="jobs")
        assert not any(each.get("formaction") for _, each in page.elements)
        assert "look and change nothing" in page.text
        for path, form in EVERY_POST:
            answer = await visitor.post(path, **form)
            assert answer.status_code == 403
            assert "You may only look" in answer.text
        assert (await visitor.post("/theme", theme="dark")).status_code == 303
    assert await world.state() == before


@EVERY_WORLD
async def test_the_hook_is_told_who_did_what(world: World) -> None:
    told: list[Action] = []

    async def on_action(action: Action) -> None:
        await asyncio.sleep(0)
        told.append(action)

    await world.fail("f1", "f2", "f3", "f4", "f5", "f6")
    app = served(world.inspector, on_action=on_action)
    async with Visitor(app, "ada") as ada, Visitor(app, "bob") as bob:
        await ada.post("/failed/f1/retry")
        await bob.post("/failed/f2/forget")
        await ada.post("/failed/f2/forget")
        await ada.post("/failed/retry", ids=["f2", "f3"])
        await bob.post("/failed/flush")
    assert told == [
        Action("retry", "ada", Done(1), ids=("f1",)),
        Action("forget", "bob", Done(1), ids=("f2",)),
        Action("retry", "ada", Done(1, gone=1), ids=("f2", "f3")),
        Action("flush", "bob", Done(3)),
    ]


async def test_the_hook_is_told_of_the_filter(world: World) -> None:
    told: list[Action] = []
    await world.fail("f1", "f2")
    async with Visitor(served(world.inspector, on_action=told.append)) as visitor:
        await visitor.post("/failed/forget", all="1", kind="ValueError")
    assert told == [Action("forget", "ada", Done(2), filter=FailedFilter(kind="ValueError"))]


async def test_the_hook_is_told_of_what_was_done_before_it_went_wrong(world: World) -> None:
    told: list[Action] = []
    await world.fail("f1", "f2", "f3")
    watch = Watch(Plain(world.inspector))
    calls = itertools.count(1)

    async def third_fails(name: str) -> None:
        if name == "forget" and next(calls) == 3:
            raise OSError

    watch.before = third_fails
    async with Visitor(served(watch.inspector, on_action=told.append)) as visitor:
        assert (await visitor.post("/failed/forget", ids=["f1", "f2", "f3"])).status_code == 503
    assert [(action.done, action.certain) for action in told] == [(Done(2), False)]
    assert await world.kept() == ["f3"]


@DETAILED_WORLDS
@pytest.mark.parametrize("path", ["/failed/forget", "/failed/flush"])
async def test_the_hook_is_told_of_the_turns_before_it_went_wrong(world: World, path: str) -> None:
    told: list[Action] = []
    await world.fail(*(f"job-{number}" for number in range(1005)))
    watch = Watch(world.inspector)
    calls = itertools.count(1)

    async def second_fails(name: str) -> None:
        if name == "forget_many" and next(calls) == 2:
            raise OSError

    watch.before = second_fails
    async with Visitor(served(watch.inspector, on_action=told.append)) as visitor:
        assert (await visitor.post(path, all="1")).status_code == 503
    (action,) = told
    assert (action.done.done, action.certain) == (1000, False)
    assert len(await world.kept()) == 5


async def test_the_hook_is_told_although_the_viewer_has_left(world: World) -> None:
    told: list[Action] = []
    await world.fail("f1")
    watch, begun, go, heard = Watch(world.inspector), asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_action(action: Action) -> None:
        told.append(action)
        heard.set()

    async def slowly(name: str) -> None:
        if name == "retry":
            begun.set()
            await go.wait()

    watch.before = slowly
    acting = actions.Actions(Reader(watch.inspector), on_action)
    asked = asyncio.create_task(acting.one("retry", "f1", Viewer(Access.FULL, "ada")))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    go.set()
    await asyncio.wait_for(heard.wait(), 10)
    assert told == [Action("retry", "ada", Done(1), ids=("f1",))]
    assert await world.live() == ["f1"]


async def test_a_name_cannot_write_lines_of_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.fail("f1")
    caplog.set_level("INFO", "lagoqueue.dashboard")
    await actions.Actions(Reader(world.inspector), None).flush(None, Viewer(Access.FULL, "ada\nflush by bob"))
    assert [record.getMessage() for record in caplog.records] == [
        "flush by 'ada\\nflush by bob': 1 done, 0 skipped, 0 gone"
    ]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_that_fails_changes_nothing(
    world: World, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(action: Action) -> Any:
        raise RuntimeError("the audit log is full")

    async def fails_later(action: Action) -> None:
        fails(action)

    await world.fail("f1", "f2")
    hook = fails_later if is_async else fails
    async with Visitor(served(world.inspector, on_action=hook)) as visitor:
        for path, form in EVERY_POST[:2] + [EVERY_POST[-1]]:
            assert (await visitor.post(path, **form)).status_code in (303, 404)
    assert (await world.kept(), await world.live()) == ([], ["f1"])
    assert "the audit log is full" in caplog.text


async def test_without_a_store_nothing_can_be_done(world: World) -> None:
    await dispatch(world.queue, Welcome(1))
    inspector = MemoryInspector()
    async with Visitor(served(inspector)) as visitor:
        for path, form in EVERY_POST:
            answer = await visitor.post(path, **form)
            assert answer.status_code == (400 if "all" in form else 409), path
            assert "inspector" in answer.text
