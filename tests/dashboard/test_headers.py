from __future__ import annotations

import pytest
from quart import Response

from tests.dashboard.small import Small, browse

pytestmark = pytest.mark.security

EXPECTED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [
        ("GET", "/admin/queues/", 200),
        ("HEAD", "/admin/queues/", 200),
        ("OPTIONS", "/admin/queues/", 200),
        ("GET", "/admin/queues/static/abc/look.css", 200),
        ("POST", "/admin/queues/failed/flush", 403),
    ],
)
async def test_every_answer_carries_them_once(method: str, route: str, status: int) -> None:
    async with browse(Small().app()) as browser:
        answer = await browser.request(method, route)
    assert answer.status_code == status
    for name, value in EXPECTED.items():
        assert answer.headers.get_list(name) == [value]


async def test_a_refusal_carries_them() -> None:
    async with browse(Small().app(), client=("192.0.2.1", 1)) as browser:
        answer = await browser.get("/admin/queues/static/abc/look.css")
    assert answer.status_code == 403
    assert answer.headers["Content-Security-Policy"] == EXPECTED["Content-Security-Policy"]
    assert answer.headers.get_list("Cache-Control") == ["no-store"]


async def test_files_are_kept_and_nothing_else_is() -> None:
    async with browse(Small().app()) as browser:
        kept = await browser.get("/admin/queues/static/abc/look.css")
        assert kept.headers.get_list("Cache-Control") == ["private, max-age=31536000, immutable"]
        for route in ("/admin/queues/", "/admin/queues/plain"):
            assert (await browser.get(route)).headers.get_list("Cache-Control") == ["no-store"]


async def test_an_applications_own_headers_replace_them() -> None:
    app = Small().app()

    @app.after_request
    async def own(response: Response) -> Response:
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    async with browse(app) as browser:
        answer = await browser.get("/admin/queues/")
    assert answer.headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers.get_list("Referrer-Policy") == ["same-origin"]


async def test_an_answers_own_policy_stays() -> None:
    small = Small()

    @small.blueprint.get("/queues/download")
    async def download() -> Response:
        return Response("x", headers={"Content-Security-Policy": "sandbox", "Cache-Control": "public"})

    async with browse(small.app()) as browser:
        answer = await browser.get("/admin/queues/download")
    assert answer.headers.get_list("Content-Security-Policy") == ["sandbox"]
    assert answer.headers.get_list("Cache-Control") == ["no-store"]
