"""Every route that changes something refuses every form that is not of a page of its own, and nothing changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from quart import Quart

from lagoqueue.monitor import MemoryInspector
from lagoqueue_dashboard import dashboard
from lagoqueue_dashboard.guarding import csrf
from tests.dashboard.routes import FORMS, posts
from tests.dashboard.test_crawl import fill
from tests.dashboard.visits import SECRET, Visitor, by_header, served
from tests.dashboard.worlds import DETAILED_WORLDS, World

pytestmark = pytest.mark.security

Send = Callable[[str, dict[str, Any]], Awaitable[httpx.Response]]
Fault = Callable[[Visitor, Quart, pytest.MonkeyPatch], Awaitable[Send]]


def sending(visitor: Visitor, token: Any, headers: Any = None, **options: Any) -> Send:
    """Return what sends a form with this token."""

    async def send(path: str, form: dict[str, Any]) -> httpx.Response:
        data = form if token is None else {**form, "csrf_token": token}
        return await visitor.client.post(path, data=data, headers=headers, **options)

    return send


def cookies(visitor: Visitor) -> dict[str, str]:
    return {name: value for name, value in visitor.client.cookies.items() if "csrf" in name}


async def no_token(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    await visitor.token()
    return sending(visitor, None)


async def empty_token(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    await visitor.token()
    return sending(visitor, "")


async def forged_token(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    return sending(visitor, token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))


async def cookie_as_token(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    await visitor.token()
    return sending(visitor, next(iter(cookies(visitor).values())))


async def no_cookie(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    visitor.client.cookies.clear()
    return sending(visitor, token)


async def token_as_cookie(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    (name,) = cookies(visitor)
    visitor.client.cookies.clear()
    return sending(visitor, token, {"Cookie": f"{name}={token}"})


async def two_cookies(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    ((name, value),) = cookies(visitor).items()
    visitor.client.cookies.clear()
    return sending(visitor, token, {"Cookie": f"{name}={value}; {name}={value}"})


async def two_tokens(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    return sending(visitor, [token, token])


async def a_token_twice(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    return sending(visitor, token, {"X-CSRF-Token": token})


async def token_in_the_url_only(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    return sending(visitor, None, params={"csrf_token": await visitor.token()})


async def expired(visitor: Visitor, app: Quart, patch: pytest.MonkeyPatch) -> Send:
    token = await visitor.token()
    patch.setattr(csrf, "LIFETIME", -10 * 3600)
    return sending(visitor, token)


async def somebody_elses(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    await visitor.token()
    async with Visitor(app, "mallory") as mallory:
        return sending(visitor, await mallory.token())


async def somebody_elses_with_their_cookie(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    async with Visitor(app, "mallory") as mallory:
        token = await mallory.token()
        visitor.client.cookies.update(cookies(mallory))
        return sending(visitor, token)


async def another_dashboards(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    await visitor.token()
    async with Visitor(app, mount="/second/queues") as second:
        return sending(visitor, await second.token())


async def another_keys(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
    other = Quart(__name__)
    other.register_blueprint(dashboard(MemoryInspector(), authorize=by_header, secret="x" * 40), url_prefix="/admin")
    async with Visitor(other) as there:
        token = await there.token()
        visitor.client.cookies.update(cookies(there))
        return sending(visitor, token)


def coming_with(headers: dict[str, str]) -> Fault:
    async def fault(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
        return sending(visitor, await visitor.token(), headers)

    return fault


def of_type(content_type: str | None) -> Fault:
    """Send the right token in a body that a page elsewhere can have a browser send."""

    async def fault(visitor: Visitor, app: Quart, _: pytest.MonkeyPatch) -> Send:
        token = await visitor.token()

        async def send(path: str, form: dict[str, Any]) -> httpx.Response:
            headers = {} if content_type is None else {"Content-Type": content_type}
            return await visitor.client.post(path, content=f"csrf_token={token}&all=1&ids=f1", headers=headers)

        return send

    return fault


FAULTS: dict[str, tuple[Fault, int]] = {
    **{
        fault.__name__: (fault, 403)
        for fault in (
            no_token, empty_token, forged_token, cookie_as_token, no_cookie, token_as_cookie, two_cookies, two_tokens,
            a_token_twice, token_in_the_url_only, expired, somebody_elses, somebody_elses_with_their_cookie,
            another_dashboards, another_keys,
        )
    },
    "cross-site": (coming_with({"Sec-Fetch-Site": "cross-site"}), 403),
    "same-site": (coming_with({"Sec-Fetch-Site": "same-site"}), 403),
    "foreign origin": (coming_with({"Origin": "https://evil.example"}), 403),
    "null origin": (coming_with({"Origin": "null"}), 403),
    "foreign referrer": (coming_with({"Referer": "https://evil.example/admin/queues/failed"}), 403),
    "plain text": (of_type("text/plain"), 415),
    "an unknown type": (of_type("application/x-amf"), 415),
    "no type": (of_type(None), 415),
}  # fmt: skip


@DETAILED_WORLDS
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_on_every_route(world: World, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(world)
    app = served(world.inspector)
    second = dashboard(world.inspector, authorize=by_header, secret=SECRET, name="second")
    app.register_blueprint(second, url_prefix="/second")
    before = await world.state()
    make, status = FAULTS[fault]
    async with Visitor(app) as visitor:
        send = await make(visitor, app, monkeypatch)
        for name, path in posts(app).items():
            answer = await send(path, FORMS[name])
            assert answer.status_code == status, (name, answer.text)
            assert await world.state() == before, name
            assert not any("lagoqueue_theme" in cookie for cookie in answer.headers.get_list("Set-Cookie"))


@pytest.mark.parametrize("how", ["field", "header"])
@pytest.mark.parametrize("name", FORMS)
async def test_the_same_forms_are_taken_from_the_page_itself(world: World, name: str, how: str) -> None:
    """Without this, all of the above could be refused for another reason."""
    await fill(world)
    before = await world.state()
    app = served(world.inspector)
    async with Visitor(app) as visitor:
        token = await visitor.token()
        headers = {"X-CSRF-Token": token} if how == "header" else {"Sec-Fetch-Site": "same-origin"}
        send = sending(visitor, token if how == "field" else None, headers)
        answer = await send(posts(app)[name], {**FORMS[name], "x": "y"})
    assert answer.status_code == 303
    assert (await world.state() == before) == (name == "theme")
