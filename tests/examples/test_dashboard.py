"""The dashboards of `examples/dashboard`, as they run: a server, a browser's requests, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from tests.dashboard.crawling import Page

EXAMPLES = Path(__file__).parents[2] / "examples"
FAILED = "nobody takes mail for bob@nowhere.example"
PROXY = {"X-Proxy-Secret": "known to two", "X-Remote-User": "ada"}


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[httpx.Client]:
    """Run a server on a free port, which it prints, and give a browser; it must end in order."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *arguments],
        cwd=EXAMPLES,
        env={**os.environ, "DATABASE": str(folder / "shop.db"), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise AssertionError("".join(said))
        with httpx.Client(base_url=found[0], timeout=20) as browser:
            yield browser
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.wait()


def hypercorn(folder: Path, name: str, **variables: str) -> AbstractContextManager[httpx.Client]:
    return running(folder, "hypercorn", "--bind", "127.0.0.1:0", f"dashboard.{name}", **variables)


def retry(browser: httpx.Client, prefix: str, **headers: str) -> httpx.Response:
    """Retry the failed job as a person does: open the list, then the job, and press the button."""
    listed = browser.get(f"{prefix}/queues/failed?view=jobs", headers=headers)
    assert listed.status_code == 200
    assert FAILED in listed.text
    link = next(link for link in Page(listed.text).links if "/failed/job?" in link)
    page = Page(browser.get(link, headers=headers).text)
    forms = [(action, form.fields) for form in page.forms for action in form.actions if action.endswith("/retry")]
    # Who may only look has no such button, and tries all the same, with the token of the theme's form.
    action, fields = next(
        ((action, fields) for action, fields in forms if not action.endswith("failed/retry")),
        (f"{prefix}/queues/failed/{httpx.URL(link).params['id']}/retry", page.forms[0].fields),
    )
    return browser.post(action, data={"csrf_token": fields["csrf_token"]}, headers=headers)


def works(browser: httpx.Client, prefix: str, **headers: str) -> None:
    """Assert that the failed job can be retried once, and that all leads back below the prefix."""
    answer = retry(browser, prefix, **headers)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{prefix}/queues/failed")
    assert FAILED not in browser.get(f"{prefix}/queues/failed?view=jobs", headers=headers).text


def test_a_blueprint_in_quart(tmp_path: Path) -> None:
    with hypercorn(tmp_path, "quart_blueprint:app") as browser:
        assert browser.get("/").text == "the shop"
        assert browser.get("/admin/queues/", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403
        works(browser, "/admin")


def test_mounted_in_fastapi(tmp_path: Path) -> None:
    with hypercorn(tmp_path, "fastapi_mount:api") as browser:
        assert browser.get("/").json() == {"name": "the shop"}
        assert browser.get("/admin/").headers["Location"] == "/admin/queues/"
        assert browser.get("/admin/queues/", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403
        works(browser, "/admin")


def test_alone(tmp_path: Path) -> None:
    with running(tmp_path, "lagoqueue", "dashboard", "dashboard.shop:opened", "--port", "0") as browser:
        works(browser, "")


def test_users_whom_a_proxy_has_checked(tmp_path: Path) -> None:
    with hypercorn(tmp_path, "proxy_auth:app", PROXY_SECRET="known to two") as browser:
        for headers in (
            {},
            {"X-Remote-User": "ada"},
            {**PROXY, "X-Proxy-Secret": "guessed"},
            {**PROXY, "X-Remote-User": ""},
        ):
            assert browser.get("/admin/queues/", headers=headers).status_code == 403
        assert retry(browser, "/admin", **{**PROXY, "X-Remote-User": "bob"}).status_code == 403
        works(browser, "/admin", **PROXY)


def test_behind_a_proxy_that_takes_a_prefix_off(tmp_path: Path) -> None:
    with hypercorn(tmp_path, "prefix_proxy:app", PROXY_SECRET="known to two") as browser:
        assert browser.get("/queues/").status_code == 403
        page = browser.get("/queues/", headers=PROXY)
        assert page.status_code == 200
        assert all(link.startswith(("/intern/jobs/queues/", "#", "data:")) for link in Page(page.text).links)
        works(browser, "/intern/jobs", **PROXY)


def test_users_who_log_in_with_quart_auth(tmp_path: Path) -> None:
    variables = {"PASSWORD": "a word for all", "SECRET_KEY": "a key of at least 16 bytes"}
    with hypercorn(tmp_path, "quart_auth_app:app", **variables) as browser:

        def log_in(name: str, password: str = "a word for all") -> httpx.Response:
            return browser.post("/login", data={"name": name, "password": password})

        for path in ("/admin/queues/", "/admin/queues/api/stats", "/admin/queues/failed"):
            assert browser.get(path).headers["Location"] == "/login"
        assert browser.post("/admin/queues/failed/flush", data={"all": "1"}).headers["Location"] == "/login"
        assert log_in("ada", "guessed").status_code == 403

        log_in("eve")
        assert browser.get("/admin/queues/").status_code == 403
        assert log_in("bob").headers["Location"] == "/admin/queues/"
        assert "bob" in browser.get("/admin/queues/").text
        assert retry(browser, "/admin").status_code == 403
        log_in("ada")
        works(browser, "/admin")
        browser.post("/logout")
        assert browser.get("/admin/queues/").headers["Location"] == "/login"
