from __future__ import annotations

import pytest

from tests.dashboard.small import Small, browse

pytestmark = pytest.mark.security

FLUSH = "/admin/queues/failed/flush"


async def sent(headers: dict[str, str] | list[tuple[str, str]], url: str = "http://localhost:8787") -> int:
    """Send a form that is right but for these headers; return the status, and assert that it says what was done."""
    small = Small(lambda request: True)
    async with browse(small.app(), url) as browser:
        token = (await browser.get("/admin/queues/")).json()["token"]
        answer = await browser.post(FLUSH, data={"csrf_token": token}, headers=headers)
    assert len(small.done) == (answer.status_code == 200)
    return answer.status_code


async def test_a_form_of_these_pages() -> None:
    assert await sent({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8787"}) == 200


async def test_the_browsers_own_word_counts_before_an_origin_that_a_proxy_makes_look_strange() -> None:
    assert await sent({"Sec-Fetch-Site": "same-origin", "Origin": "https://jobs.example.org"}) == 200
    assert await sent({"Sec-Fetch-Site": "same-origin", "Origin": "null"}) == 200
    assert await sent({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8787"}) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, cross-site"])
async def test_a_form_of_elsewhere(site: str) -> None:
    assert await sent({"Sec-Fetch-Site": site}) == 403


async def test_two_headers_are_none() -> None:
    assert await sent([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")]) == 403
    assert await sent([("Origin", "http://localhost:8787"), ("Origin", "http://localhost:8787")]) == 403


async def test_what_is_no_browser_sends_neither() -> None:
    assert await sent({}) == 200


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://jobs.lan", "http://jobs.lan"),
        ("http://jobs.lan", "http://JOBS.lan:80"),
        ("https://jobs.lan", "https://jobs.lan:443"),
        ("http://jobs.lan", "https://jobs.lan"),  # a proxy ended TLS
        ("http://jobs.lan:8443", "https://jobs.lan:8443"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
    ],
)
@pytest.mark.parametrize("header", ["Origin", "Referer"])
async def test_without_the_browsers_word_the_origin_must_be_this_host(url: str, origin: str, header: str) -> None:
    assert await sent({header: origin + ("/admin/queues/?a=b" if header == "Referer" else "")}, url) == 200


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://jobs.lan", "null"),
        ("http://jobs.lan", ""),
        ("http://jobs.lan", "http://evil.example"),
        ("http://jobs.lan", "http://jobs.lan.evil.example"),
        ("http://jobs.lan", "http://jobs.lan@evil.example"),
        ("http://jobs.lan", "http://sub.jobs.lan"),
        ("http://jobs.lan", "http://jobs.lan:8080"),
        ("http://jobs.lan:8080", "http://jobs.lan"),
        ("https://jobs.lan", "http://jobs.lan"),  # TLS was there, and a page without it is somebody else's
        ("http://jobs.lan", "ftp://jobs.lan"),
        ("http://jobs.lan", "jobs.lan"),
        ("http://jobs.lan", "http://jobs.lan:99999"),
        ("http://jobs.lan", "http://[::1"),
        ("http://jobs.lan", "http://"),
        ("http://jobs.lan", "javascript:alert(1)"),
    ],
)
@pytest.mark.parametrize("header", ["Origin", "Referer"])
async def test_another_origin_is_refused(url: str, origin: str, header: str) -> None:
    assert await sent({header: origin}, url) == 403


async def test_an_origin_counts_before_a_referrer() -> None:
    assert await sent({"Origin": "http://evil.example", "Referer": "http://localhost:8787/"}) == 403
    assert await sent({"Origin": "http://localhost:8787", "Referer": "http://evil.example/"}) == 200


async def test_a_look_may_come_from_anywhere() -> None:
    async with browse(Small().app()) as browser:
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://chat.example"}
        assert (await browser.get("/admin/queues/", headers=headers)).status_code == 200
