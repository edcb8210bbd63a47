"""What nobody should send, in ids, pages, labels, cursors and selections, on pages and their JSON twins."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from lagoqueue import dispatch
from lagoqueue.monitor.paging import write_cursor
from lagoqueue_dashboard.look.visible import visible
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import DETAILED_WORLDS, EVERY_WORLD, Welcome, World

LONGEST = "x" * 200
IDS = [
    "a/b", "a//b", "/a", "a/", "//", "..", ".", "../..", "%2e%2e", "%2F", "%", "%zz", "a%00b", "100%41", "a?b=c", "a#b",
    "a b", " a ", "a+b", "a\nb", "a\r\nb", "a\tb", "ünï", "\u202egnp.exe", "e\u0301", "\U0001f602", "\ufeff", "retry",
    "flush", "a/retry", "job", "a\\b", "a;b", "a&b=c", '"quoted"', "<i>", LONGEST,
]  # fmt: skip
"""Ids that a job can have."""

NO_IDS = ["x" * 4096, "x" * 201, "a\0b", "\ud800", "\u202e" * 300]
"""Ids that none can have."""

NO_PAGES = [
    "0",
    "-1",
    "1e18",
    "NaN",
    "9" * 10_000,
    "1" * 19,
    " 1",
    "1 ",
    "\uff11",
    "1.0",
    "0x1",
    "+1",
    "1_0",
    "a",
    "\xb2",
]

LABELS = ["a/b", "..", "100%", "%2F", "ünï", "\u202elabel", "a b", "a\nb", "'--", "a&state=failed", "?", "#", "l" * 100]

NO_CURSORS = [
    "x", "1", "=" * 8, "W10", "bnVsbA", "e30", "A" * 5000, "\u202e", "../..", write_cursor(2**63),
    write_cursor("a\0", 1, 1, 1), write_cursor("a", "b", "c", "d"), write_cursor(-1.5), write_cursor("x" * 900),
]  # fmt: skip


def quoted(job_id: str) -> str:
    return quote(job_id, safe="", errors="surrogatepass")


# --- Ids ----------------------------------------------------------------------------------------------


@EVERY_WORLD
async def test_every_id_that_a_job_can_have_can_be_forgotten_and_retried_from_the_list(world: World) -> None:
    await world.fail(*IDS)
    async with Visitor(served(world.inspector)) as visitor:
        token = await visitor.token()
        for number, job_id in enumerate(reversed(IDS)):
            page = await visitor.page("/failed", view="jobs")
            buttons = [each for tag, each in page.elements if tag == "button" and "formaction" in each]
            first = next(each for each in buttons if each["formaction"].rpartition("/")[2] == "retry")
            action = "retry" if number % 2 else "forget"
            url = first["formaction"].removesuffix("retry") + action
            form = {"csrf_token": token} | ({"ids": first["value"]} if "name" in first else {})
            answer = await visitor.client.post(url, data=form)
            assert answer.status_code == 303, (job_id, answer.text)
            assert await world.kept() == IDS[::-1][number + 1 :], job_id
            assert (job_id in await world.live()) == (action == "retry")


@EVERY_WORLD
async def test_ids_in_the_path_are_taken_as_they_are_written(world: World) -> None:
    await world.fail("a/b", "a//b", "a%2Fb", "100%", "100%41")
    async with Visitor(served(world.inspector)) as visitor:
        for job_id in ("a//b", "100%41", "a%2Fb"):
            answer = await visitor.post(f"/failed/{quoted(job_id)}/forget")
            assert answer.status_code == 303, job_id
    assert await world.kept() == ["100%", "a/b"]


@DETAILED_WORLDS
async def test_every_id_has_a_page(world: World) -> None:
    await world.fail(*IDS)
    async with Visitor(served(world.inspector)) as visitor:
        for job_id in IDS:
            assert visible(job_id) in (await visitor.page("/failed/job", id=job_id)).text
            assert (await visitor.json("/api/failed/job", id=job_id))["view"]["id"] == job_id
            found = await visitor.json("/api/failed", view="jobs", id=job_id)
            # What a person types in the search field may have spaces around it.
            assert [view["id"] for view in found["jobs"]] == [job_id] or job_id != job_id.strip()


@EVERY_WORLD
async def test_ids_that_no_job_can_have(world: World) -> None:
    await world.fail("f1")
    before = await world.state()
    async with Visitor(served(world.inspector)) as visitor:
        for job_id in NO_IDS:
            for path in ("/job", "/failed/job", "/api/job", "/api/failed/job"):
                answer = await visitor.client.get(f"/admin/queues{path}?id={quoted(job_id)}")
                assert answer.status_code in (400, 404), (path, job_id)
                assert len(answer.content) < 6000
            for action in ("retry", "forget"):
                answer = await visitor.post(f"/failed/{quoted(job_id)}/{action}")
                assert answer.status_code in (400, 404), (action, job_id)
                answer = await visitor.post(f"/failed/{action}", ids=quoted(job_id))
                assert answer.status_code in (303, 400), (action, job_id)
    assert await world.state() == before


async def test_an_id_is_missing(world: World) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        for path in ("/job", "/failed/job", "/queue"):
            await visitor.page(path, 400)
            assert (await visitor.json(f"/api{path}", 400))["error"]["status"] == 400


@EVERY_WORLD
async def test_more_ids_than_one_action_takes(world: World) -> None:
    ids = [f"job-{number}" for number in range(1001)]
    await world.fail(*ids[:3])
    async with Visitor(served(world.inspector)) as visitor:
        for given in (ids, []):
            answer = await visitor.post("/failed/forget", ids=given)
            assert answer.status_code == 400
            assert ("1 to 1,000" if given else "no job is selected") in answer.text
            confirm = await visitor.get("/failed/confirm", action="forget", ids=given)
            assert confirm.status_code == 400
        assert await world.kept() == ids[2::-1]
        assert (await visitor.post("/failed/forget", ids=[*ids[:998], ids[0], ids[0]])).status_code == 303
        assert "3 jobs were forgotten. 995 jobs were no longer there." in (await visitor.page("/failed")).text
    assert await world.kept() == []


# --- Pages and cursors --------------------------------------------------------------------------------


@EVERY_WORLD
async def test_pages_that_are_none(world: World) -> None:
    await dispatch(world.queue, Welcome(1))
    async with Visitor(served(world.inspector)) as visitor:
        for path, more in (("/failed", {}), ("/queue", {"name": "default"})):
            for page in NO_PAGES:
                shown = await visitor.page(path, 400, page=page, **more)
                assert f"page must be a whole number from 1, not '{page[:50]}'" in shown.text.replace("\\x", "x")
                assert (await visitor.json(f"/api{path}", 400, page=page, **more))["error"]["title"]


@EVERY_WORLD
async def test_pages_past_the_end(world: World) -> None:
    await world.fail("f1")
    await dispatch(world.queue, Welcome(1))
    async with Visitor(served(world.inspector)) as visitor:
        for page in ("2", "0002", "9" * 18):
            assert "f1" not in (await visitor.page("/failed", page=page)).text
            await visitor.page("/queue", name="default", page=page)
            assert (await visitor.json("/api/failed", page=page))["jobs"] == []


async def test_an_empty_parameter_is_a_missing_one(world: World) -> None:
    await world.fail("f1")
    async with Visitor(served(world.inspector)) as visitor:
        empty = await visitor.json("/api/failed", page="", after="", view="", queue="", within="", text="")
        assert empty == await visitor.json("/api/failed")


@DETAILED_WORLDS
async def test_forged_cursors(world: World) -> None:
    await dispatch(world.queue, Welcome(1))
    await world.fail("f1")
    before = await world.state()
    queries: list[tuple[str, dict[str, str]]] = [("/failed", {"view": "jobs"})]
    queries += [("/queue", {"name": "default", "state": state}) for state in ("pending", "delayed", "reserved")]
    async with Visitor(served(world.inspector)) as visitor:
        for cursor in NO_CURSORS:
            for path, query in queries:
                answer = await visitor.get(path, after=cursor, **query)
                assert answer.status_code == 400, (path, cursor)
            answer = await visitor.post("/failed/forget", all="1", after=cursor)
            assert answer.status_code == 400, cursor
    assert await world.state() == before


@pytest.mark.parametrize("other", [{"after": "x"}, {"queue": "mail"}, {"text": "x"}])
async def test_a_numbered_page_goes_with_no_filter(world: World, other: dict[str, str]) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        assert "leave page out" in (await visitor.page("/failed", 400, page="1", **other)).text


# --- Labels, and choices ------------------------------------------------------------------------------


@EVERY_WORLD
async def test_labels_of_all_kinds(world: World) -> None:
    for label in LABELS:
        await dispatch(world.queue.named(label), Welcome(1))
        await world.fail(f"failed in {LABELS.index(label)}", label=label)
    async with Visitor(served(world.inspector)) as visitor:
        overview = await visitor.page("/")
        assert [row["queue"] for row in (await visitor.json("/api/overview"))["queues"]] == sorted(LABELS)
        for label in LABELS:
            assert visible(label).strip() in overview.text
            links = [url for url in overview.urls if parse_qs(urlsplit(url).query).get("name") == [label]]
            assert (await visitor.client.get(links[0])).status_code == 200
            assert (await visitor.json("/api/queue", name=label))["queue"] == label
            assert (await visitor.json("/api/live/queue", name=label))["parts"]
            assert (await visitor.json("/api/charts", queue=label))["queue"] == label


@DETAILED_WORLDS
async def test_failed_jobs_of_one_label(world: World) -> None:
    for label in LABELS:
        await world.fail(f"failed in {LABELS.index(label)}", label=label)
    async with Visitor(served(world.inspector)) as visitor:
        for label in LABELS:
            found = await visitor.json("/api/failed", view="jobs", queue=label)
            assert [view["queue"] for view in found["jobs"]] == [label]


@EVERY_WORLD
async def test_a_queue_that_nobody_knows(world: World) -> None:
    async with Visitor(served(world.inspector)) as visitor:
        for label in ("nope", "\u202enope", "<b>nope"):
            assert "No such queue" in (await visitor.page("/queue", 404, name=label)).text
            assert (await visitor.json("/api/queue", 404, name=label))["error"]["title"] == "No such queue"
        for label in ("l" * 101, "a\0b"):
            await visitor.page("/queue", 400, name=label)
            await visitor.page("/charts", 400, queue=label)
            await visitor.json("/api/charts", 400, queue=label)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/failed", {"view": "tree"}),
        ("/failed", {"within": "year"}),
        ("/failed", {"queue": "l" * 101}),
        ("/failed", {"name": "n" * 201}),
        ("/failed", {"kind": "k" * 8193}),
        ("/failed", {"text": "a\0b"}),
        ("/failed", {"id": "i" * 201}),
        ("/queue", {"name": "default", "state": "failed"}),
        ("/queue", {"name": "default", "state": "PENDING"}),
        ("/charts", {"span": "week"}),
        ("/failed/confirm", {"action": "delete", "all": "1"}),
        ("/failed/confirm", {"action": "retry"}),
        ("/failed/confirm", {"action": "retry", "all": "yes"}),
        ("/failed/confirm", {"action": "retry", "all": "1", "within": "x"}),
    ],
)
async def test_values_that_a_parameter_cannot_have(world: World, path: str, query: dict[str, str]) -> None:
    await dispatch(world.queue, Welcome(1))
    async with Visitor(served(world.inspector)) as visitor:
        page = await visitor.page(path, 400, **query)
        assert "That cannot be" in page.text
        error = await visitor.json(f"/api{path}", 400, **query)
        assert error == {"error": {"status": 400, "title": "That cannot be", "text": error["error"]["text"]}}


@pytest.mark.parametrize(
    "form",
    [
        {"until": "yesterday"},
        {"until": "2026-01-01T00:00:00"},
        {"until": "0001-01-01T00:00:00+23:59"},
        {"until": "9999-12-31T23:59:59-23:59"},
        {"done": "-1"},
        {"done": "1" * 5000},
        {"done": "\uff11"},
        {"skipped": "many"},
        {"after": "x"},
        {"within": "x"},
        {"all": ""},
        {"all": "2"},
    ],
)
async def test_values_that_a_form_cannot_have(world: World, form: dict[str, Any]) -> None:
    await world.fail("f1")
    before = await world.state()
    async with Visitor(served(world.inspector)) as visitor:
        answer = await visitor.post("/failed/forget", **{"all": "1", **form})
    assert answer.status_code == 400
    assert await world.state() == before
