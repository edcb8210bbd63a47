"""A dashboard over a world, and visitors of it who keep cookies and send forms as a browser does."""

from __future__ import annotations

from typing import Any

import httpx
from quart import Quart, Request

from lagoqueue.monitor import Inspector
from lagoqueue_dashboard import Viewer, dashboard
from lagoqueue_dashboard.guarding.access import Access
from tests.dashboard.documents import Document, parse
from tests.dashboard.small import browse

MOUNT = "/admin/queues"
SECRET = "a key that signs the forms of these tests"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def by_header(request: Request) -> Viewer:
    """Say who makes the request: the header says it all, as behind a proxy that logs people in."""
    return Viewer(Access(int(request.headers.get("X-Access", "2"))), request.headers.get("X-Name", "ada"))


def served(inspector: Inspector, **options: Any) -> Quart:
    """Return an application with a dashboard under `/admin`."""
    options = {"authorize": by_header, "secret": SECRET, **options}
    app = Quart(__name__)
    app.register_blueprint(dashboard(inspector, **options), url_prefix="/admin")
    return app


class Visitor:
    """A browser that visits a dashboard.

    Args:
        app: An application that has it under `/admin`.
        name: Who they are.
        access: What they may do.
        paths: Where the dashboard is.
    """

    def __init__(self, app: Quart, name: str = "ada", access: Access = Access.FULL, mount: str = MOUNT) -> None:
        self._mount = mount
        self.client = browse(app, headers={"X-Name": name, "X-Access": str(int(access))})

    async def __aenter__(self) -> Visitor:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.client.__aexit__(*error)

    async def get(self, path: str, headers: Any = None, method: str = "GET", **query: Any) -> httpx.Response:
        """Ask for a page below the mount."""
        return await self.client.request(method, self._mount + path, params=query or None, headers=headers)

    async def page(self, path: str, status: int = 200, **query: Any) -> Document:
        """Return a page as a browser reads it."""
        answer = await self.get(path, **query)
        assert answer.status_code == status, parse(answer.text).text.split("Health")[-1][:500]
        document = parse(answer.text)
        assert not document.unclosed, document.unclosed
        return document

    async def json(self, path: str, status: int = 200, **query: Any) -> Any:
        """Return what a JSON route says."""
        answer = await self.get(path, **query)
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        assert b"<" not in answer.content
        return answer.json()

    async def token(self) -> str:
        """Return the token of a page, and keep its cookie."""
        return parse((await self.get("/health")).text).inputs("csrf_token")[0]

    async def post(self, path: str, headers: Any = None, **form: Any) -> httpx.Response:
        """Send a form as a page would."""
        form = {"csrf_token": await self.token(), **form}
        return await self.client.post(
            self._mount + path, data=form, headers=SAME_ORIGIN if headers is None else headers
        )
