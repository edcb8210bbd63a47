"""Routes, parameters, methods, headers and forms drawn at random: never a 500, and nothing changes without a token."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lagoqueue.monitor import MemoryInspector
from tests.dashboard import worlds
from tests.dashboard.documents import parse
from tests.dashboard.hostile import TEXTS
from tests.dashboard.routes import gets, posts
from tests.dashboard.test_bad_input import IDS, LABELS, NO_CURSORS, NO_IDS, NO_PAGES
from tests.dashboard.test_crawl import fill
from tests.dashboard.visits import MOUNT, Visitor, served
from tests.dashboard.worlds import World

NAMES = [
    "id", "name", "state", "after", "page", "view", "queue", "kind", "text", "within", "action", "all", "ids", "back",
    "span", "theme", "query", "until", "done", "skipped", "csrf_token", "_external", "_anchor", "endpoint", "screen",
]  # fmt: skip
GOOD = [
    "mail", "other", "live", "f1", "f2", "pending", "delayed", "reserved", "jobs", "groups", "retry", "forget", "flush",
    "hour", "day", "week", "1", "2", "dark", "auto", "2026-01-01T00:00:00+00:00", "view=jobs&kind=ValueError", "",
]  # fmt: skip
BAD = [*IDS, *NO_IDS, *NO_PAGES, *LABELS, *NO_CURSORS, *TEXTS, "0" * 3000, "&" * 30, "a=b&" * 30]

values = st.sampled_from(GOOD) | st.sampled_from(BAD) | st.text(max_size=30)
pairs = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=8), values), max_size=6)
methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"])
headers = st.dictionaries(
    st.sampled_from(
        [
            "Accept", "If-None-Match", "If-Match", "If-Modified-Since", "Range", "Cookie", "X-CSRF-Token", "Origin",
            "Referer", "Sec-Fetch-Site", "X-Forwarded-Prefix", "X-Requested-With", "Accept-Encoding", "Content-Type",
        ]
    ),
    st.sampled_from(
        [
            "*", "application/json", '"x"', "W/\"x\"", "bytes=0-5", "null", "cross-site", "same-origin", "a=b; a=c",
            "lagoqueue_done=retry.9.9.9", "lagoqueue_done=retry.-1..", "lagoqueue_theme=<b>", "lagoqueue_done=\xff.1.1.1",
            "Thu, 01 Jan 1970 00:00:00 GMT", "multipart/form-data; boundary=x", "multipart/form-data",
            "application/x-www-form-urlencoded; charset=utf-16", "text/plain", "", "\xff", "x" * 5000, "http://localhost",
        ]
    ),
    max_size=3,
)  # fmt: skip


app = served(MemoryInspector())
known = st.sampled_from([path for path, _ in gets(app)] + list(posts(app).values()))


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A route, or nearly one."""
    kind = draw(st.integers(0, 9))
    if kind < 6:
        return draw(known)
    text = quote(draw(values), safe=draw(st.sampled_from(["", "/", "/%?#"])), errors="surrogatepass")
    if kind == 6:
        return f"{MOUNT}/failed/{text}/{draw(st.sampled_from(['retry', 'forget', 'flush', '']))}"
    if kind == 7:
        return f"{MOUNT}/api/live/{text}"
    if kind == 8:
        return f"{MOUNT}/static/{text}/{text}"
    return f"{draw(known)}/{text}"


requests = st.fixed_dictionaries(
    {"path": paths(), "query": pairs, "form": pairs, "method": methods, "headers": headers, "json": st.booleans()}
)


def encoded(given: list[tuple[str, str]]) -> str:
    return urlencode(given, errors="surrogatepass")


async def ask(visitor: Visitor, request: dict[str, Any], token: str | None = None) -> Any:
    """Send a request as it was drawn, with what a page's own form has if there is a token, and check the answer."""
    form, sent = request["form"], dict(request["headers"])
    options: dict[str, Any] = {}
    if token is not None:
        form = [pair for pair in form if pair[0] != "csrf_token"] + [("csrf_token", token)]
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
    if request["method"] in ("POST", "PUT", "PATCH"):
        kind = "application/json" if request["json"] and token is None else "application/x-www-form-urlencoded"
        sent.setdefault("Content-Type", kind)
        options["content"] = json.dumps(form) if request["json"] and token is None else encoded(form)
    url = request["path"].partition("#")[0] + ("?" + encoded(request["query"]) if request["query"] else "")
    raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    answer = await visitor.client.request(request["method"], url, headers=raw, **options)
    assert answer.status_code < 500, answer.text[-2000:]
    content_type = answer.headers.get("Content-Type", "")
    if answer.content and content_type == "application/json":
        assert b"<" not in answer.content
        answer.json()
    elif answer.content and content_type.startswith("text/html") and "Content-Security-Policy" in answer.headers:
        page = parse(answer.text)  # one of ours: what has no route is answered by the application
        if not answer.is_redirect and answer.status_code != 405:
            assert page.unclosed == []
            assert all(url.startswith((f"{MOUNT}/", "#")) for url in page.urls)
    location = answer.headers.get("Location", MOUNT)
    assert location.startswith((MOUNT, "http://localhost" + MOUNT))
    return answer


def fuzz(examples: int, make: Callable[[], Any], *, with_token: bool) -> None:
    """Send so many requests to one dashboard over a world.

    Args:
        examples: How many.
        make: Makes the world.
        with_token: Send the token of a page; otherwise nothing may change.
    """
    with asyncio.Runner() as runner:
        context = make()
        world: World = runner.run(context.__aenter__())
        try:
            app = served(world.inspector)
            visitor = Visitor(app)
            runner.run(fill(world))
            before = runner.run(world.state())
            token = runner.run(visitor.token()) if with_token else None

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            )
            @given(requests)
            def one(request: dict[str, Any]) -> None:
                runner.run(ask(visitor, request, token))
                if not with_token:
                    assert runner.run(world.state()) == before

            one()
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("with_token", [False, True])
@pytest.mark.parametrize("kind", [worlds.memory, worlds.plain], ids=["memory", "plain"])
def test_a_few(kind: Callable[[], Any], with_token: bool, caplog: pytest.LogCaptureFixture) -> None:
    fuzz(120, kind, with_token=with_token)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_token", [False, True])
@pytest.mark.parametrize("kind", ["memory", "sqlite", "plain"])
def test_many(kind: str, with_token: bool, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    makes: dict[str, Callable[[], Any]] = {
        "memory": worlds.memory,
        "sqlite": lambda: worlds.sqlite(tmp_path),
        "plain": worlds.plain,
    }
    fuzz(500, makes[kind], with_token=with_token)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
