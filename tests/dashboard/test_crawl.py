"""What only looks changes nothing: every such route, with every method that it takes."""

from __future__ import annotations

import itertools

import pytest

from lagoqueue import Job, dispatch
from tests.dashboard.routes import FORMS, QUERIES, gets, posts, rules
from tests.dashboard.visits import MOUNT, Visitor, served
from tests.dashboard.worlds import EVERY_WORLD, Plain, Welcome, World

pytestmark = pytest.mark.security


async def fill(world: World) -> None:
    """Have jobs in every state."""
    await world.queue.push(Job("live", "Welcome", b'{"user":1}', queue="mail"))
    await dispatch(world.queue.named("mail"), Welcome(2), delay=3600)
    await world.queue.push(Job("runs", "Welcome", b'{"user":3}', queue="other"))
    await world.queue.pop(labels=["other"])
    await world.fail("f1", "f2", "f3")


@EVERY_WORLD
async def test_looking_changes_nothing(world: World) -> None:
    await fill(world)
    app = served(world.inspector)
    before = await world.state()
    statuses: dict[tuple[str, str], int] = {}
    async with Visitor(app) as visitor:
        for (path, query), method in itertools.product(gets(app), ("GET", "HEAD", "OPTIONS")):
            answer = await visitor.client.request(method, path, params=query)
            statuses[path, method] = answer.status_code
            assert await world.state() == before, (method, path)
            assert method == "GET" or not answer.content
    missing = {path for (path, _), status in statuses.items() if status != 200}
    details = {"/job", "/failed/job", "/api/job", "/api/failed/job"}
    expected = {"/static/0/dashboard.css"} | {f"/api/live/{page}" for page in ("job", "failed_job", "confirm")}
    if isinstance(world.inspector, Plain):
        expected |= details
    assert missing == {MOUNT + path for path in expected}
    assert len(statuses) >= 3 * 28


async def test_no_route_is_forgotten(world: World) -> None:
    app = served(world.inspector)
    assert set(posts(app)) == set(FORMS)
    assert set(QUERIES) < set(rules(app))
    both = {name for name, rule in rules(app).items() if {"GET", "POST"} <= set(rule.methods or ())}
    assert both == set()
    assert {rule.rule.startswith(f"{MOUNT}/") for rule in rules(app).values()} == {True}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_what_looks_takes_no_other_method(world: World, method: str) -> None:
    await fill(world)
    app = served(world.inspector)
    before = await world.state()
    async with Visitor(app) as visitor:
        token = await visitor.token()
        for path, query in gets(app):
            answer = await visitor.client.request(method, path, params=query, headers={"X-CSRF-Token": token})
            assert answer.status_code == 405, path
    assert await world.state() == before


async def test_a_header_or_field_for_another_method_counts_for_nothing(world: World) -> None:
    await fill(world)
    app = served(world.inspector)
    before = await world.state()
    async with Visitor(app) as visitor:
        token = await visitor.token()
        for path in posts(app).values():
            for method in ("GET", "HEAD"):
                answer = await visitor.client.request(
                    method,
                    path,
                    params={"_method": "POST", "csrf_token": token},
                    headers={"X-HTTP-Method-Override": "POST", "X-CSRF-Token": token},
                )
                assert answer.status_code == 405, path
    assert await world.state() == before
