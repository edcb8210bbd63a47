"""Wherever a dashboard is mounted, everything that its pages lead to is there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI
from quart import Blueprint, Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard import dashboard, stand_alone
from lagoqueue_dashboard.standalone.proxy import Prefixed
from tests.dashboard.crawling import Page, crawl, paths
from tests.dashboard.filled import AWKWARD, filled
from tests.dashboard.serving import behind_proxy, on_hypercorn, on_uvicorn
from tests.dashboard.small import Small, browse

SECRET = "the-same-for-all-of-them"


async def made(name: str = "lagoqueue") -> Blueprint:
    """Return a dashboard that everybody may use: who may is tested elsewhere."""

    async def everybody(request: object) -> bool:
        return True

    return dashboard(await filled(), authorize=everybody, secret=SECRET, name=name)


async def host(prefix: str | None) -> Any:
    app = Quart(__name__)
    app.register_blueprint(await made(), url_prefix=prefix)
    return app


# --- Where it can be mounted: each gives a client of the site, and the prefix -----------------------


def _in_process(build: Callable[[], Any], prefix: str, url: str = "http://localhost") -> Any:
    @asynccontextmanager
    async def mounted() -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
        async with browse(await build(), url) as client:
            yield client, prefix

    return mounted


async def _nested() -> Quart:
    app, outer, inner = Quart(__name__), Blueprint("outer", __name__), Blueprint("inner", __name__, url_prefix="/b")
    inner.register_blueprint(await made(), url_prefix="/c")
    outer.register_blueprint(inner)
    app.register_blueprint(outer, url_prefix="/a")
    return app


async def _beside_another() -> Quart:
    app = Quart(__name__)
    app.register_blueprint(await made("one"), url_prefix="/one")
    app.register_blueprint(await made("two"), url_prefix="/two")
    return app


async def _in_starlette() -> Starlette:
    return Starlette(routes=[Mount("/admin", stand_alone(await made()))])


async def _in_nested_mounts() -> Starlette:
    inner = Starlette(routes=[Mount("/c", stand_alone(await made()))])
    return Starlette(routes=[Mount("/a", routes=[Mount("/b", inner)])])


async def _in_fastapi() -> FastAPI:
    api = FastAPI()
    api.mount("/admin", stand_alone(await made()))
    return api


async def _host_in_fastapi() -> FastAPI:
    api = FastAPI()
    api.mount("/api", await host("/admin"))
    return api


async def _with_server_name() -> Any:
    app = await host("/admin")
    app.config["SERVER_NAME"] = "jobs.example.org"
    return app


async def _alone() -> Quart:
    return stand_alone(await made())


def _proxied(build: Callable[[], Any], server: Any, root_path: str, headers: dict[str, str], **options: Any) -> Any:
    @asynccontextmanager
    async def mounted() -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
        async with (
            server(await build(), root_path) as backend,
            behind_proxy(backend, "/intern/jobs", headers, **options) as url,
            httpx.AsyncClient(base_url=url, timeout=10) as client,
        ):
            yield client, "/intern/jobs"

    return mounted


async def _told() -> Prefixed:
    return Prefixed(stand_alone(await made()), "/intern/jobs")


async def _trusting() -> Prefixed:
    return Prefixed(stand_alone(await made()), trust_header=True)


async def _by_root_path() -> Prefixed:
    return Prefixed(stand_alone(await made()))


HEADER = {"X-Forwarded-Prefix": "/intern/jobs"}

MOUNTS = {
    "alone": _in_process(_alone, ""),
    "blueprint at the root": _in_process(lambda: host(None), ""),
    "blueprint": _in_process(lambda: host("/admin"), "/admin"),
    "nested blueprints": _in_process(_nested, "/a/b/c"),
    "first of two": _in_process(_beside_another, "/one"),
    "second of two": _in_process(_beside_another, "/two"),
    "with SERVER_NAME": _in_process(_with_server_name, "/admin", "https://jobs.example.org"),
    "Starlette": _in_process(_in_starlette, "/admin"),
    "nested mounts": _in_process(_in_nested_mounts, "/a/b/c"),
    "FastAPI": _in_process(_in_fastapi, "/admin"),
    "Quart in FastAPI": _in_process(_host_in_fastapi, "/api/admin"),
    "proxy, told, Hypercorn": _proxied(_told, on_hypercorn, "", {}),
    "proxy, told, uvicorn": _proxied(_told, on_uvicorn, "", {}),
    "proxy that strips nothing, told": _proxied(_told, on_hypercorn, "", {}, strip=False),
    "proxy, header, Hypercorn": _proxied(_trusting, on_hypercorn, "", HEADER),
    "proxy, header, uvicorn": _proxied(_trusting, on_uvicorn, "", HEADER),
    "proxy, root path, Hypercorn": _proxied(_by_root_path, on_hypercorn, "/intern/jobs", {}),
    "proxy, root path, uvicorn": _proxied(_by_root_path, on_uvicorn, "/intern/jobs", {}),
    "proxy, root path, uvicorn, nothing else": _proxied(_alone, on_uvicorn, "/intern/jobs", {}),
}

Mounted = Callable[[], AbstractAsyncContextManager[tuple[httpx.AsyncClient, str]]]


@pytest.fixture(params=MOUNTS)
def mount(request: pytest.FixtureRequest) -> Mounted:
    """Opens one of the mounts."""
    opened: Mounted = MOUNTS[request.param]
    return opened


# --- What must hold in each -------------------------------------------------------------------------


async def test_everything_that_pages_lead_to_is_there_and_below_the_prefix(mount: Mounted) -> None:
    async with mount() as (client, prefix):
        found = await crawl(client, [f"{prefix}/queues/"])
        assert {url: status for url, status in found.statuses.items() if status != 200} == {}
        seen = paths(found.statuses)
        for path in ("/", "/queue", "/failed", "/failed/job", "/workers", "/charts", "/health"):
            assert f"{prefix}/queues{path}" in seen
        assert {path.rpartition(".")[2] for path in seen if "/static/" in path} >= {"css", "js"}
        for path in paths([*found.statuses, *found.asks, *found.posts]):
            assert path.startswith(f"{prefix}/queues/"), path
            assert "//" not in path
        site = str(client.base_url).rstrip("/")
        for page in found.pages.values():
            assert site not in page  # links hold no host: a proxy's may be another one
        jobs = {text for url in found.statuses for text in httpx.URL(url).params.get_list("id")}
        assert jobs >= set(AWKWARD) - {"later"}

        assert {f"{prefix}/queues/theme", f"{prefix}/queues/failed/retry"} <= paths(found.posts)
        for url in found.asks:  # without what a person types, a form may say that it needs it
            assert (await client.get(url)).status_code in (200, 400)
        for url in found.posts:  # something is there, but not to be opened
            assert (await client.get(url)).status_code == 405


async def test_forms_work_and_what_they_answer_leads_back(mount: Mounted) -> None:
    async with mount() as (client, prefix):
        page = Page((await client.get(f"{prefix}/queues/failed/job?id=plain")).text)
        theme = f"{prefix}/queues/theme"
        [fields] = [form.fields for form in page.forms if form.actions == [theme]]
        for path, sent in ((theme, {"theme": "dark"}), (f"{prefix}/queues/failed/plain/retry", {})):
            answer = await client.post(path, data={**sent, "csrf_token": fields["csrf_token"]})
            assert answer.status_code in (302, 303), answer.text
            target = urljoin(str(answer.url), answer.headers["Location"])
            assert target.startswith(f"{str(client.base_url).rstrip('/')}{prefix}/queues/")
            assert (await client.get(target)).status_code == 200
        gone = await client.post(f"{prefix}/queues/failed/plain/retry", data={"csrf_token": fields["csrf_token"]})
        assert gone.status_code == 404


async def test_cookies_are_for_the_mount_alone(mount: Mounted) -> None:
    async with mount() as (client, prefix):
        answer = await client.get(f"{prefix}/queues/failed")
        paths = re.findall(r"[Pp]ath=([^;,]+)", ", ".join(answer.headers.get_list("Set-Cookie")))
        expected = "/" if client.base_url.scheme == "https" else f"{prefix}/queues"
        assert paths == [expected]


async def test_a_missing_slash_leads_nowhere_else(mount: Mounted) -> None:
    async with mount() as (client, prefix):
        assert (await client.get(f"{prefix}/queues")).status_code == 200


async def test_an_application_that_is_never_started_serves_it(mount: Mounted) -> None:
    """None of the mounts passes a lifespan on."""
    async with mount() as (client, prefix):
        answer = await client.get(f"{prefix}/queues/api/stats")
        assert answer.status_code == 200
        assert answer.json().keys() == {"queues", "totals"}


# --- On its own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alone", "Starlette", "nested mounts", "FastAPI", "proxy, told, Hypercorn"])
async def test_the_root_leads_to_the_overview(name: str) -> None:
    async with MOUNTS[name]() as (client, prefix):
        answer = await client.get(f"{prefix}/")
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{prefix}/queues/")


async def test_alone_what_is_no_page_is_answered_with_one_of_its_own() -> None:
    async with MOUNTS["Starlette"]() as (client, prefix):
        missing = await client.get(f"{prefix}/nowhere")
        assert missing.status_code == 404
        assert f'href="{prefix}/queues/' in missing.text
        assert missing.headers["Content-Security-Policy"].startswith("default-src 'none'")
        wrong = await client.get(f"{prefix}/queues/failed/flush")
        assert (wrong.status_code, "POST" in wrong.headers["Allow"]) == (405, True)
        assert (await client.post(f"{prefix}/queues/")).status_code == 405
        assert (await client.get(f"{prefix}/queues/api/nowhere")).json()["error"]["status"] == 404


@pytest.mark.parametrize(
    "path", ["/", "/queues/", "/nowhere", "/queues/failed/flush", "/queues/static/1/dashboard.css"]
)
async def test_alone_nobody_learns_anything_who_may_not(path: str) -> None:
    app = stand_alone(dashboard(await filled()))
    async with browse(app, client=("192.0.2.1", 1)) as client:
        answer = await client.get(path)
        assert answer.status_code == 403
        assert "authorize=" in answer.text
        assert (await client.post(path, data={"all": "1"})).status_code == 403
        assert (await client.options(path)).status_code == 403


async def test_alone_two_of_them_in_one_site_keep_their_forms_apart() -> None:
    one, two = Small(), Small()
    site = Starlette(routes=[Mount("/one", stand_alone(one.blueprint)), Mount("/two", stand_alone(two.blueprint))])
    async with browse(site) as client:
        tokens = [(await client.get(f"/{name}/queues/")).json()["token"] for name in ("one", "two")]
        for name, token in zip(("one", "two"), tokens, strict=True):
            answer = await client.post(f"/{name}/queues/failed/flush", data={"csrf_token": token})
            assert answer.status_code == 200
    assert (len(one.done), len(two.done)) == (1, 1)


# --- The prefix -------------------------------------------------------------------------------------


class Seen:
    """An application that notes what it is asked for."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})


async def asked(wrap: Callable[[Any], Any], path: str, headers: dict[str, str] | None = None, root: str = "") -> Any:
    seen = Seen()
    transport = httpx.ASGITransport(wrap(seen), root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path, headers=headers)
    if answer.status_code != 204:
        return answer.status_code
    return seen.scope["root_path"], seen.scope["path"], seen.scope["raw_path"].decode()


async def test_a_prefix_that_was_taken_off_is_put_back() -> None:
    def told(app: Any) -> Any:
        return Prefixed(app, "/jobs")

    assert await asked(told, "/queues/%2f") == ("/jobs", "/jobs/queues//", "/jobs/queues/%2f")
    assert await asked(told, "/jobs/queues/") == ("/jobs", "/jobs/queues/", "/jobs/queues/")
    assert await asked(told, "/jobsite") == ("/jobs", "/jobs/jobsite", "/jobs/jobsite")
    assert await asked(told, "/") == ("/jobs", "/jobs/", "/jobs/")
    # What the server was told comes below what the proxy took off, unless it is the same.
    assert await asked(told, "/a/x", root="/a") == ("/jobs/a", "/jobs/a/x", "/jobs/a/x")
    assert await asked(told, "/x", root="/a") == ("/jobs/a", "/jobs/a/x", "/jobs/a/x")
    assert await asked(told, "/jobs/x", root="/jobs") == ("/jobs", "/jobs/x", "/jobs/x")


async def test_without_one_the_servers_root_path_counts() -> None:
    assert await asked(Prefixed, "/x", root="/a") == ("/a", "/a/x", "/a/x")
    assert await asked(Prefixed, "/a/x", root="/a") == ("/a", "/a/x", "/a/x")
    assert await asked(Prefixed, "/x") == ("", "/x", "/x")


async def test_a_header_counts_only_when_it_is_trusted() -> None:
    def trusting(app: Any) -> Any:
        return Prefixed(app, "/else", trust_header=True)

    header = {"X-Forwarded-Prefix": "/jobs/"}
    assert await asked(Prefixed, "/x", header) == ("", "/x", "/x")
    assert await asked(trusting, "/x", header) == ("/jobs", "/jobs/x", "/jobs/x")
    assert await asked(trusting, "/x", {"X-Forwarded-Prefix": ""}) == ("", "/x", "/x")
    assert await asked(trusting, "/x") == ("/else", "/else/x", "/else/x")


NO_PATHS = ["//evil.example", "/a//b", "/..", "/a/../b", "/.", "a", "/a b", "/a\\b", "/a;b", "/a?b", "/a#b", "/a%2fb", "https://evil.example", "/" + "x" * 300]  # fmt: skip


@pytest.mark.parametrize("value", [*NO_PATHS, "/a,/b", "/\xe9", "/a\x01"])
async def test_a_header_that_is_no_path_is_refused(value: str) -> None:
    def trusting(app: Any) -> Any:
        return Prefixed(app, trust_header=True)

    assert await asked(trusting, "/x", {"X-Forwarded-Prefix": value.encode("latin-1")}) == 400  # type: ignore[dict-item]


async def test_two_headers_are_refused() -> None:
    seen = Seen()
    async with browse(Prefixed(seen, trust_header=True)) as client:
        answer = await client.get("/x", headers=[("X-Forwarded-Prefix", "/a"), ("X-Forwarded-Prefix", "/a")])
    assert answer.status_code == 400
    assert seen.scope == {}


@pytest.mark.parametrize("prefix", [*NO_PATHS, "", "/", "/jobs/", "jobs/"])
def test_a_prefix_that_is_no_path(prefix: str) -> None:
    with pytest.raises(InvalidValue, match="prefix"):
        Prefixed(Seen(), prefix)


async def test_other_scopes_pass_through() -> None:
    seen = Seen()
    await Prefixed(seen, "/jobs")({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen.scope == {"type": "lifespan"}
    await Prefixed(seen, "/jobs")({"type": "websocket", "path": "/x", "headers": []}, None, None)  # type: ignore[arg-type]
    assert (seen.scope["root_path"], seen.scope["path"]) == ("/jobs", "/jobs/x")
