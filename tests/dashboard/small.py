"""A dashboard of three routes, to try the guard on, and browsers to visit it with."""

from __future__ import annotations

from typing import Any

import httpx
from quart import Blueprint, Quart, Response, jsonify, request

from lagoqueue_dashboard.guarding.guard import Guard, csrf_token, viewer
from lagoqueue_dashboard.guarding.refused import Refused


class Small:
    """A blueprint behind a guard. What was done through it is in `done`."""

    def __init__(self, authorize: Any = None, secret: Any = None, name: str = "lagoqueue") -> None:
        self.done: list[str] = []
        self.blueprint = Blueprint(name, __name__)
        Guard(authorize, secret).protect(self.blueprint)

        @self.blueprint.get("/queues/", strict_slashes=False)
        async def overview() -> dict[str, Any]:
            found = viewer()
            assert found is not None
            return {"token": csrf_token(), "name": found.name, "acts": found.acts}

        @self.blueprint.get("/queues/plain")
        async def plain() -> str:
            return "no form here"

        @self.blueprint.get("/queues/static/abc/look.css")
        async def asset() -> Response:
            return Response("body {}", mimetype="text/css")

        @self.blueprint.post("/queues/failed/flush")
        async def flush() -> dict[str, Any]:
            self.done.append((await request.form).get("why", ""))
            return {"done": True}

        @self.blueprint.post("/queues/theme")
        async def theme() -> dict[str, Any]:
            self.done.append("theme")
            return {"done": True}

        @self.blueprint.errorhandler(Refused)
        async def refused(error: Refused) -> tuple[Response, int]:
            return jsonify(title=error.title, text=error.text), error.status

    def app(self, prefix: str = "/admin") -> Quart:
        app = Quart(__name__)
        app.register_blueprint(self.blueprint, url_prefix=prefix)
        return app


def browse(
    app: Any, url: str = "http://localhost", client: tuple[str, int] = ("127.0.0.1", 50000), **options: Any
) -> httpx.AsyncClient:
    """Return a client whose requests reach the application as from this address, without a server."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=client), base_url=url, **options)
