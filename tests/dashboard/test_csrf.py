from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from quart import Quart, Request

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard.guarding.access import Access, Viewer
from tests.dashboard.small import Small, browse

pytestmark = pytest.mark.security

OLD, NEW, OTHER = "old-secret-of-the-app", "new-secret-of-the-app", "a-strangers-secret-key"
FLUSH = "/admin/queues/failed/flush"


async def by_header(request: Request) -> Viewer:
    """Whoever the test says."""
    return Viewer(Access.FULL, request.headers.get("X-User", ""))


async def open_page(browser: httpx.AsyncClient, **options: Any) -> str:
    """Open a page as a person does, and return the token of its forms."""
    return str((await browser.get("/admin/queues/", **options)).json()["token"])


async def send(browser: httpx.AsyncClient, *tokens: str, **options: Any) -> httpx.Response:
    return await browser.post(FLUSH, data={"why": "x", "csrf_token": list(tokens)}, **options)


def cookies(answer: httpx.Response) -> list[Any]:
    return [one for text in answer.headers.get_list("Set-Cookie") for one in SimpleCookie(text).values()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that signatures tell, to be moved."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("lagoqueue_dashboard.guarding.csrf.time", lambda: now[0])
    return now


# --- A form that is taken -------------------------------------------------------------------------


async def test_a_form_with_its_token_is_taken_as_often_as_it_is_sent() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        for _ in range(2):
            assert (await send(browser, token)).status_code == 200
    assert small.done == ["x", "x"]


async def test_the_token_may_be_in_a_header_with_a_form_of_any_kind() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        headers = {"X-CSRF-Token": await open_page(browser)}
        assert (await browser.post(FLUSH, data={"why": "x"}, headers=headers)).status_code == 200
        assert (await browser.post(FLUSH, files={"why": b""}, headers=headers)).status_code == 200
    assert len(small.done) == 2


async def test_two_tabs_of_one_browser_do_not_disturb_each_other() -> None:
    async with browse(Small().app()) as browser:
        one = await open_page(browser)
        two = await open_page(browser)
        assert (await send(browser, one)).status_code == 200
        assert (await send(browser, two)).status_code == 200


async def test_a_page_that_did_not_change_is_the_same_text_within_the_hour(clock: list[float]) -> None:
    async with browse(Small().app()) as browser:
        one = await open_page(browser)
        clock[0] += 60
        answer = await browser.get("/admin/queues/")
        assert answer.json()["token"] == one
        assert cookies(answer) == []
        clock[0] += 3600
        answer = await browser.get("/admin/queues/")
        assert answer.json()["token"] != one
        assert len(cookies(answer)) == 1
        assert (await send(browser, one)).status_code == 200


# --- The cookie -----------------------------------------------------------------------------------


async def test_the_cookie_over_plain_http() -> None:
    async with browse(Small().app()) as browser:
        [cookie] = cookies(await browser.get("/admin/queues/"))
    assert re.fullmatch(r"lagoqueue_csrf_[0-9a-f]{8}", cookie.key)
    assert (cookie["path"], cookie["secure"], cookie["domain"]) == ("/admin/queues", "", "")
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", str(12 * 3600))


async def test_the_cookie_over_tls_is_this_hosts_alone() -> None:
    async with browse(Small().app(), "https://localhost") as browser:
        [cookie] = cookies(await browser.get("/admin/queues/"))
        assert cookie.key.startswith("__Host-lagoqueue_csrf_")
        assert (cookie["path"], cookie["secure"], cookie["domain"]) == ("/", True, "")
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
        assert (await send(browser, await open_page(browser))).status_code == 200


async def test_an_answer_without_a_form_sets_no_cookie() -> None:
    async with browse(Small().app()) as browser:
        for route in ("/admin/queues/plain", "/admin/queues/static/abc/look.css"):
            assert cookies(await browser.get(route)) == []


async def test_the_cookie_does_not_hold_the_token_nor_the_token_the_key() -> None:
    async with browse(Small(secret=OLD).app()) as browser:
        answer = await browser.get("/admin/queues/")
        [cookie] = cookies(answer)
        assert cookie.value != answer.json()["token"]
        assert (await send(browser, cookie.value)).status_code == 403


@pytest.mark.parametrize("mounts", [("/one", "/two"), ("/one", "/one/two")])
@pytest.mark.parametrize("url", ["http://localhost", "https://localhost"])
async def test_two_dashboards_have_two_cookies(mounts: tuple[str, str], url: str) -> None:
    one, two = Small(secret=OLD, name="one"), Small(secret=OLD, name="two")
    app = Quart(__name__)
    app.register_blueprint(one.blueprint, url_prefix=mounts[0])
    app.register_blueprint(two.blueprint, url_prefix=mounts[1])
    async with browse(app, url) as browser:
        tokens = [(await browser.get(f"{mount}/queues/")).json()["token"] for mount in mounts]
        for mount, token, other in zip(mounts, tokens, reversed(tokens), strict=True):
            assert (await browser.post(f"{mount}/queues/failed/flush", data={"csrf_token": other})).status_code == 403
            assert (await browser.post(f"{mount}/queues/failed/flush", data={"csrf_token": token})).status_code == 200
    assert (len(one.done), len(two.done)) == (1, 1)


async def test_a_dashboard_on_another_port_does_not_take_the_cookie_away() -> None:
    apps = [Small().app(), Small().app()]
    jar = httpx.Cookies()  # one computer's, as a browser keeps them: whatever the port
    tokens = []
    for number, app in enumerate(apps):
        async with browse(app, f"http://localhost:{8000 + number}", cookies=jar) as browser:
            tokens.append(await open_page(browser))
            jar.update(browser.cookies)
    assert len(jar) == 2
    for number, app in enumerate(apps):
        async with browse(app, f"http://localhost:{8000 + number}", cookies=jar) as browser:
            assert (await send(browser, tokens[number])).status_code == 200


# --- What is refused ------------------------------------------------------------------------------


async def refused(small: Small, answer: httpx.Response, status: int = 403) -> str:
    """Assert that nothing was done, and return what the page says."""
    assert answer.status_code == status
    assert small.done == []
    return str(answer.json()["text"])


async def test_a_missing_token() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        await open_page(browser)
        text = await refused(small, await browser.post(FLUSH, data={"why": "x"}))
    assert "Reload the page and try again" in text


async def test_a_token_in_the_url() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        await refused(small, await browser.post(FLUSH, params={"csrf_token": token}, data={"why": "x"}))


async def test_a_missing_cookie() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        browser.cookies.clear()
        assert "cookie" in await refused(small, await send(browser, token))


async def test_a_doubled_token() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        await refused(small, await send(browser, token, token))
        await refused(small, await send(browser, token, headers={"X-CSRF-Token": token}))
        twice = [("X-CSRF-Token", token), ("X-CSRF-Token", token)]
        await refused(small, await browser.post(FLUSH, headers=twice))


@pytest.mark.parametrize("order", [1, -1])
async def test_a_doubled_cookie(order: int) -> None:
    """Browsers send both where a neighbouring subdomain has planted one, and the first need not be ours."""
    small = Small()
    async with browse(small.app()) as mallory:
        planted = await open_page(mallory)
        [theirs] = cookies(await mallory.get("/admin/queues/")) or [None]
        theirs_value = next(iter(mallory.cookies.values()))
        assert theirs is None
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        [(name, value)] = browser.cookies.items()
        browser.cookies.clear()
        header = "; ".join([f"{name}={value}", f"{name}={theirs_value}"][::order])
        for each in (token, planted):
            assert "two cookies" in await refused(small, await send(browser, each, headers={"Cookie": header}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-2] + ("AA" if text[-2:] != "AA" else "BB"),
        lambda text: "x" + text,
        lambda text: text.rpartition(".")[0],
        lambda text: "",
        lambda text: "a.b.c",
        lambda text: "\x00\u202e" * 3,
        lambda text: text * 400,
    ],
)
async def test_a_forged_token_or_cookie(spoil: Any) -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        await refused(small, await send(browser, spoil(token)))
        [(name, value)] = browser.cookies.items()
        browser.cookies.clear()
        spoilt = spoil(value).encode("ascii", "replace").replace(b"\x00", b"?").decode()
        await refused(small, await send(browser, token, headers={"Cookie": f"{name}={spoilt}"}))


async def test_an_equal_pair_that_nobody_signed() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        await open_page(browser)
        [name] = browser.cookies
        browser.cookies.clear()
        await refused(small, await send(browser, "same", headers={"Cookie": f"{name}=same"}))


async def test_a_pair_signed_with_another_key() -> None:
    small = Small(secret=OLD)
    async with browse(Small(secret=OTHER).app()) as mallory:
        token = await open_page(mallory)
        pair = "; ".join(f"{name}={value}" for name, value in mallory.cookies.items())
    async with browse(small.app()) as browser:
        await refused(small, await send(browser, token, headers={"Cookie": pair}))


async def test_another_viewers_pair() -> None:
    """Mallory has access too, and plants the cookie and the token that were given to her."""
    small = Small(by_header)
    async with browse(small.app()) as mallory:
        token = await open_page(mallory, headers={"X-User": "mallory"})
        pair = "; ".join(f"{name}={value}" for name, value in mallory.cookies.items())
    async with browse(small.app()) as ada:
        await refused(small, await send(ada, token, headers={"X-User": "ada", "Cookie": pair}))
        own = await open_page(ada, headers={"X-User": "ada"})
        await refused(small, await send(ada, token, headers={"X-User": "ada"}))
        ada.cookies.clear()
        await refused(small, await send(ada, own, headers={"X-User": "ada", "Cookie": pair}))


async def test_another_browsers_token_of_the_same_viewer() -> None:
    small = Small()
    async with browse(small.app()) as one, browse(small.app()) as two:
        first, second = await open_page(one), await open_page(two)
        await refused(small, await send(one, second))
        await refused(small, await send(two, first))


async def test_a_new_identity_gets_a_new_cookie_and_the_old_page_is_out_of_date() -> None:
    small = Small(by_header)
    async with browse(small.app()) as browser:
        old = await open_page(browser, headers={"X-User": "guest"})
        before = dict(browser.cookies)
        await refused(small, await send(browser, old, headers={"X-User": "ada"}))
        new = await open_page(browser, headers={"X-User": "ada"})
        assert dict(browser.cookies).keys() == before.keys()
        assert dict(browser.cookies) != before
        assert (await send(browser, new, headers={"X-User": "ada"})).status_code == 200


@pytest.mark.parametrize(("hours", "status"), [(10.9, 200), (12.1, 403), (-1.1, 403)])
async def test_a_page_is_good_for_half_a_day(clock: list[float], hours: float, status: int) -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        clock[0] += hours * 3600
        answer = await send(browser, token)
        assert answer.status_code == status
        assert ("hours ago" in answer.text) == (status == 403)
    assert len(small.done) == (status == 200)


async def test_an_old_cookie_is_replaced_by_the_page_that_is_opened_next(clock: list[float]) -> None:
    async with browse(Small().app()) as browser:
        await open_page(browser)
        before = dict(browser.cookies)
        clock[0] += 13 * 3600
        token = await open_page(browser)
        assert dict(browser.cookies) != before
        assert (await send(browser, token)).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/octet-stream", "application/xml", "text/html", ""]
)
async def test_content_of_another_kind(content_type: str) -> None:
    small = Small()
    async with browse(small.app()) as browser:
        token = await open_page(browser)
        headers = {"X-CSRF-Token": token, "Content-Type": content_type}
        await refused(small, await browser.post(FLUSH, content=f"csrf_token={token}", headers=headers), 415)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_methods_that_a_route_has_not(method: str) -> None:
    async with browse(Small().app()) as browser:
        assert (await browser.request(method, "/admin/queues/plain")).status_code == 405


async def test_a_multipart_body_that_is_none() -> None:
    small = Small()
    async with browse(small.app()) as browser:
        await open_page(browser)
        for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
            answer = await browser.post(FLUSH, content=b"--x\r\nnonsense", headers={"Content-Type": content_type})
            assert answer.status_code in (400, 403)
    assert small.done == []


# --- Keys -----------------------------------------------------------------------------------------


async def carried_over(before: Small, after: Small, configure: Any = None) -> int:
    """Open a page of one process, send its form to another, and return the status."""
    apps = [before.app(), after.app()]
    for app in apps:
        if configure is not None:
            configure(app)
    async with browse(apps[0]) as browser:
        token = await open_page(browser)
        pairs = dict(browser.cookies)
    async with browse(apps[1], cookies=pairs) as browser:
        return (await send(browser, token)).status_code


async def test_the_first_secret_signs_and_the_others_still_count() -> None:
    assert await carried_over(Small(secret=OLD), Small(secret=[NEW, OLD])) == 200
    assert await carried_over(Small(secret=[NEW, OLD]), Small(secret=NEW)) == 200
    assert await carried_over(Small(secret=[NEW, OLD]), Small(secret=OLD)) == 403
    assert await carried_over(Small(secret=OLD), Small(secret=NEW)) == 403
    assert await carried_over(Small(secret=OLD.encode()), Small(secret=OLD)) == 200


async def test_the_applications_own_key_is_used_and_so_are_its_fallbacks() -> None:
    def keys(*values: str | None) -> Any:
        given = iter(values)

        def configure(app: Quart) -> None:
            app.secret_key = next(given)
            app.config["SECRET_KEY_FALLBACKS"] = [OLD] if app.secret_key == NEW else None

        return configure

    assert await carried_over(Small(), Small(), keys(OLD, OLD)) == 200
    assert await carried_over(Small(), Small(), keys(OLD, NEW)) == 200
    assert await carried_over(Small(), Small(), keys(NEW, OLD)) == 403
    assert await carried_over(Small(secret=OTHER), Small(secret=OTHER), keys(OLD, OTHER)) == 200


async def test_without_a_key_each_process_has_its_own_and_the_page_says_so() -> None:
    assert await carried_over(Small(), Small()) == 403
    for secret, explained in ((None, True), (OLD, False)):
        async with browse(Small(secret=secret).app()) as browser:
            await open_page(browser)
            assert ("secret_key" in (await send(browser, "forged")).json()["text"]) == explained


@pytest.mark.parametrize("secret", ["", b"", "short", [], [OLD, "short"], [None], [OLD, 5], ["x" * 15]])
def test_a_secret_that_is_none(secret: Any) -> None:
    with pytest.raises(InvalidValue, match="secret") as caught:
        Small(secret=secret)
    assert "short" not in str(caught.value)
