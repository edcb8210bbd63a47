from __future__ import annotations

import functools
import logging
import threading
from typing import Any, cast

import pytest
from quart import Quart, Request, Response, abort, redirect
from werkzeug.exceptions import Unauthorized

from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.guarding.loopback import is_loopback, is_loopback_name
from tests.dashboard.small import Small, browse

pytestmark = pytest.mark.security

ROUTES = ["/admin/queues/", "/admin/queues", "/admin/queues/plain", "/admin/queues/static/abc/look.css"]


def lets_in(verdict: Any) -> Any:
    async def authorize(request: Request) -> Any:
        return verdict

    return authorize


# --- Without authorize ----------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("url", ["http://localhost:8787", "http://127.0.0.1", "http://[::1]:1", "http://a.localhost"])
async def test_a_browser_on_this_computer_may_do_everything(address: str, url: str) -> None:
    async with browse(Small().app(), url, (address, 1)) as browser:
        answer = await browser.get("/admin/queues/")
        assert (answer.status_code, answer.json()["acts"]) == (200, True)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "::2", "::ffff:10.0.0.1", "fe80::1", "<local>", "", "localhost"]
)
async def test_a_browser_elsewhere_sees_nothing(address: str, route: str) -> None:
    async with browse(Small().app(), client=(address, 1)) as browser:
        answer = await browser.get(route)
    assert answer.status_code == 403
    assert "authorize=" in answer.json()["text"]
    assert address not in answer.text or len(address) < 3


async def test_a_unix_socket_has_no_address_and_is_refused() -> None:
    app: Any = Small().app()

    async def without_client(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": None}, receive, send)

    async with browse(without_client) as browser:
        answer = await browser.get("/admin/queues/")
    assert answer.status_code == 403
    assert "Unix socket" in answer.json()["text"]


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "x-real-ip", "Via", "CF-Connecting-IP"],
)
@pytest.mark.parametrize("value", ["127.0.0.1", "", "for=127.0.0.1"])
async def test_a_proxy_on_this_computer_relays_strangers(header: str, value: str) -> None:
    async with browse(Small().app()) as browser:
        for route in ROUTES:
            answer = await browser.get(route, headers={header: value})
            assert answer.status_code == 403
            assert "proxy" in answer.json()["text"]


async def test_http_1_0_is_what_a_proxy_speaks() -> None:
    app: Any = Small().app()

    async def older(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "http_version": "1.0"}, receive, send)

    async with browse(older) as browser:
        assert (await browser.get("/admin/queues/")).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "[::1",
        "[::2]",
        "128.0.0.1",
        "",
    ],
)
async def test_a_name_that_a_stranger_can_point_at_this_computer_is_refused(host: str) -> None:
    async with browse(Small().app()) as browser:
        for route in ROUTES:
            assert (await browser.get(route, headers={"Host": host})).status_code == 403


async def test_two_names_are_none() -> None:
    app: Any = Small().app()

    async def doubled(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "headers": [*scope["headers"], (b"host", b"localhost")]}, receive, send)

    async with browse(doubled) as browser:
        assert (await browser.get("/admin/queues/")).status_code == 403


async def test_a_client_cannot_claim_an_address() -> None:
    async with browse(Small().app(), client=("192.0.2.1", 1)) as browser:
        assert (await browser.get("/admin/queues/", headers={"Remote-Addr": "127.0.0.1"})).status_code == 403


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:80", "localhost.", "a.b.localhost:1", "127.0.0.1:8", "[::1]", "[::1]:80"]
)
def test_names_of_this_computer(name: str) -> None:
    assert is_loopback_name(name)


@pytest.mark.parametrize(
    "name", ["", "::1", "[]", "[::1]x", "0.0.0.0", "0x7f.1", "2130706433", "127.1", "localhost@evil"]
)
def test_names_that_are_none(name: str) -> None:
    assert not is_loopback_name(name)


def test_an_address_with_a_zone_is_read() -> None:
    assert is_loopback("::1%lo")
    assert not is_loopback("fe80::1%lo")


WRONG_VIEWER = Viewer(cast("Access", "full"))
NAMELESS = Viewer(Access.FULL, cast("str", None))

# --- With authorize -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "acts", "name"),
    [
        (True, True, ""),
        (Access.FULL, True, ""),
        (Access.READ, False, ""),
        (Viewer(Access.READ, "ada"), False, "ada"),
        (Viewer(Access.FULL, "ada"), True, "ada"),
    ],
)
async def test_who_is_let_in(verdict: Any, acts: bool, name: str) -> None:
    async with browse(Small(lets_in(verdict)).app(), client=("192.0.2.1", 1)) as browser:
        answer = await browser.get("/admin/queues/", headers={"Host": "evil.example", "X-Forwarded-For": "1.2.3.4"})
        assert answer.status_code == 200
        assert (answer.json()["acts"], answer.json()["name"]) == (acts, name)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("verdict", [False, None, Access.NONE, Viewer(Access.NONE, "eve")])
async def test_who_is_not(verdict: Any, route: str) -> None:
    async with browse(Small(lets_in(verdict)).app()) as browser:
        answer = await browser.get(route)
    assert answer.status_code == 403
    assert answer.json()["title"] == "You may not see this"


@pytest.mark.parametrize(
    "verdict", [1, 2, "yes", "FULL", object(), ["x"], {}, ("go away", 401), WRONG_VIEWER, NAMELESS]
)
async def test_an_answer_that_is_none_lets_nobody_in(verdict: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "lagoqueue.dashboard"):
        async with browse(Small(lets_in(verdict)).app()) as browser:
            answer = await browser.get("/admin/queues/")
    assert answer.status_code == 503
    assert "authorize must return" in caplog.text


async def test_an_authorize_that_raises_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    async def authorize(request: Request) -> bool:
        raise RuntimeError("postgresql://user:hunter2@db is down")

    small = Small(authorize)
    async with browse(small.app()) as browser:
        for route in ROUTES:
            answer = await browser.get(route)
            assert answer.status_code == 503
            assert "hunter2" not in answer.text
        assert (await browser.post("/admin/queues/failed/flush", data={"why": "x"})).status_code == 503
    assert "hunter2" in caplog.text
    assert small.done == []


async def test_a_plain_function_may_block_in_a_thread() -> None:
    threads: list[int] = []

    def authorize(request: Request) -> Viewer:
        threads.append(threading.get_ident())
        return Viewer(Access.FULL, request.headers["X-User"])

    async with browse(Small(authorize).app()) as browser:
        assert (await browser.get("/admin/queues/", headers={"X-User": "ada"})).json()["name"] == "ada"
        assert (await browser.get("/admin/queues/")).status_code == 400  # a missing key of the request is an HTTP error
    assert threading.get_ident() not in threads


async def test_callables_of_every_kind_are_awaited() -> None:
    class Decides:
        async def __call__(self, request: Request) -> bool:
            return request.path == "/admin/queues/"

    async def decide(answer: bool, request: Request) -> bool:
        return answer

    cases: list[tuple[Any, int]] = [
        (Decides(), 200),
        (functools.partial(decide, True), 200),
        (functools.partial(decide, False), 403),
        (lambda request: decide(True, request), 200),
    ]
    for authorize, status in cases:
        async with browse(Small(authorize).app()) as browser:
            assert (await browser.get("/admin/queues/")).status_code == status


async def test_a_response_is_the_answer() -> None:
    for answer in (redirect("/login"), Response("log in first", 401)):
        async with browse(Small(lets_in(answer)).app()) as browser:
            found = await browser.get("/admin/queues/")
            assert found.status_code == answer.status_code
            assert found.headers["Cache-Control"] == "no-store"


async def test_a_response_never_lets_in() -> None:
    small = Small(lets_in(Response("fine", 200)))
    async with browse(small.app()) as browser:
        assert (await browser.post("/admin/queues/failed/flush", data={"why": "x"})).text == "fine"
    assert small.done == []


async def test_http_errors_pass_through_to_the_applications_own_pages() -> None:
    class Elsewhere(Unauthorized):
        pass

    async def authorize(request: Request) -> bool:
        if request.args.get("abort"):
            abort(418)
        raise Elsewhere

    app = Small(authorize).app()

    @app.errorhandler(Elsewhere)
    async def login(error: Exception) -> Any:
        return redirect("/login")

    async with browse(app) as browser:
        assert (await browser.get("/admin/queues/?abort=1")).status_code == 418
        assert (await browser.get("/admin/queues/")).headers["Location"] == "/login"


# --- Inside an application ------------------------------------------------------------------------


async def test_an_applications_own_hooks_run_and_its_own_error_pages_do_not_stand_in_front() -> None:
    app = Small(lets_in(False)).app()
    seen: list[str] = []

    @app.before_request
    async def before() -> None:
        seen.append("before")

    @app.after_request
    async def after(response: Response) -> Response:
        seen.append("after")
        response.headers["X-Own"] = "yes"
        return response

    @app.errorhandler(403)
    async def forbidden(error: Exception) -> tuple[str, int]:
        return "the application's own", 403

    @app.errorhandler(Exception)
    async def anything(error: Exception) -> tuple[str, int]:
        return "the application's own", 500

    async with browse(app) as browser:
        answer = await browser.get("/admin/queues/")
    assert seen == ["before", "after"]
    assert answer.headers["X-Own"] == "yes"
    assert answer.json()["title"] == "You may not see this"


async def test_two_dashboards_have_two_doors() -> None:
    one, two = Small(lets_in(Viewer(Access.FULL, "ada")), name="one"), Small(lets_in(False), name="two")
    app = Quart(__name__)
    app.register_blueprint(one.blueprint, url_prefix="/one")
    app.register_blueprint(two.blueprint, url_prefix="/two")

    @app.get("/own")
    async def own() -> str:
        return "the application's own"

    async with browse(app) as browser:
        assert (await browser.get("/one/queues/")).json()["name"] == "ada"
        assert (await browser.get("/two/queues/")).status_code == 403
        answer = await browser.get("/own")
    assert answer.text == "the application's own"
    assert "Content-Security-Policy" not in answer.headers


async def test_who_may_only_look_may_change_nothing_but_the_theme() -> None:
    small = Small(lets_in(Access.READ))
    async with browse(small.app()) as browser:
        token = (await browser.get("/admin/queues/")).json()["token"]
        answer = await browser.post("/admin/queues/failed/flush", data={"csrf_token": token})
        assert (answer.status_code, answer.json()["title"]) == (403, "You may only look")
        assert (await browser.post("/admin/queues/theme", data={"why": "x"})).status_code == 403
        assert (await browser.post("/admin/queues/theme", data={"csrf_token": token})).status_code == 200
    assert small.done == ["theme"]
