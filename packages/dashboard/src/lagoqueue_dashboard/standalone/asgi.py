"""`stand_alone`: a dashboard's blueprint as an application of its own, to serve or to mount in another framework's."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Quart, Request, redirect, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from lagoqueue_dashboard.guarding.refused import Refused


class DashboardApp(Quart):
    """A Quart application that type checkers let any framework mount: Quart's own names for ASGI's types fit no other's."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


def stand_alone(blueprint: Blueprint) -> DashboardApp:
    """Return an ASGI application that consists of a dashboard.

    ::

        api.mount("/admin", stand_alone(dashboard(SQLInspector(queue), authorize=is_admin)))  # FastAPI, Starlette

    It needs no start and no end, so it works where a framework does not pass those on to what is mounted in it.
    """

    class OwnRequest(Request):
        """A request of which every path is the dashboard's, so that the guard stands before those that are none, too."""

        @property
        def blueprint(self) -> str | None:
            return super().blueprint or blueprint.name

    app = DashboardApp(__name__, static_folder=None, template_folder=None)
    app.request_class = OwnRequest
    app.register_blueprint(blueprint)

    @app.get("/")
    async def index() -> WerkzeugResponse:
        return redirect(url_for(".overview"))

    async def no_page(error: HTTPException) -> Any:
        plain = error.get_response()
        refused = Refused(plain.status_code, "No such page", f"There is no page here. Start at {url_for('.overview')}.")
        response = await app.make_response(await app.handle_user_exception(refused))
        if "Allow" in plain.headers:
            response.headers["Allow"] = plain.headers["Allow"]
        return response

    app.register_error_handler(NotFound, no_page)
    app.register_error_handler(MethodNotAllowed, no_page)
    return app
