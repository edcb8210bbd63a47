"""`dashboard`: all routes, as a blueprint to register under any prefix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from quart import Blueprint, Response

from lagoqueue._time import Seconds
from lagoqueue.errors import DriverError, DuplicateJob, FailedJobNotFound, InvalidValue, JobNotFound, ReadOnly
from lagoqueue.monitor import Inspector
from lagoqueue_dashboard import options
from lagoqueue_dashboard.actions import Actions, Many, OnAction
from lagoqueue_dashboard.guarding.access import Authorize
from lagoqueue_dashboard.guarding.csrf import Secret
from lagoqueue_dashboard.guarding.guard import Guard
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.pages import PAGES
from lagoqueue_dashboard.payload import Redact, redact_secrets
from lagoqueue_dashboard.posts import Posts
from lagoqueue_dashboard.reading import Reader
from lagoqueue_dashboard.views import Views

REFRESH = 5.0
"""Seconds between two refreshes of an open page."""


def dashboard(
    inspector: Inspector,
    *,
    authorize: Authorize | None = None,
    secret: Secret | None = None,
    name: str = "lagoqueue",
    title: str = "lagoqueue",
    environment: str = "",
    redact: Redact | None = redact_secrets,
    on_action: OnAction | None = None,
    long_wait: Seconds | Mapping[str, Seconds] = options.LONG_WAIT,
    refresh: Seconds = REFRESH,
) -> Blueprint:
    """Return a dashboard over an inspector, to register in a Quart application.

    ::

        app.register_blueprint(dashboard(SQLInspector(queue), authorize=is_admin), url_prefix="/admin")

    Its pages are then below `/admin/queues/`.

    Args:
        inspector: What is shown and acted on. One that is no `DetailedInspector` shows less.
        authorize: Gets each request and says who may see and who may act: see `Access` and `Viewer`.
            Without it the dashboard answers browsers on this computer only.
        secret: Signs the forms; the application's `secret_key` unless given.
        name: Of the blueprint; two dashboards in one application need two.
        title: Stands at the top of every page.
        environment: Stands beside it, such as "production".
        redact: Gets a `Job` and its decoded payload, and returns what may be shown of it. By default the
            values of keys such as "password" are hidden; None shows all. It runs in a thread.
        on_action: Called with an `Action` after each, to keep account of who did what; may be async.
        long_wait: When a waiting job is late: seconds, or seconds by label (60 under the others).
        refresh: How often an open page refreshes itself, in seconds.

    Raises:
        InvalidValue: An argument is not what it may be.
    """
    settings = options.checked(title, environment, redact, on_action, long_wait, refresh)
    reader = Reader(inspector)
    views = Views(reader, settings)
    posts = Posts(Actions(reader, settings.on_action), views)
    blueprint = Blueprint(name, __name__)
    Guard(authorize, secret).protect(blueprint)
    _add_pages(blueprint, views)
    _add_posts(blueprint, posts)
    _add_errors(blueprint, views)
    return blueprint


def _add_pages(blueprint: Blueprint, views: Views) -> None:
    """Add what only looks."""
    live = {page.name: page for page in PAGES if page.live}
    for page in PAGES:
        blueprint.add_url_rule(f"/queues{page.path}", page.name, _bound(views.html, page), strict_slashes=False)
        twin = "/overview" if page.path == "/" else page.path
        blueprint.add_url_rule(f"/queues/api{twin}", f"api_{page.name}", _bound(views.json, page))
    blueprint.add_url_rule("/queues/api/stats", "api_stats", views.stats)

    async def refresh(screen: str) -> Response:
        if screen not in live:
            raise Refused(404, "No such page", f"These refresh themselves: {', '.join(live)}.")
        return await views.live(live[screen])

    blueprint.add_url_rule("/queues/api/live/<screen>", "live", refresh)
    blueprint.add_url_rule("/queues/static/<version>/<name>", "asset", views.assets.serve)


def _add_posts(blueprint: Blueprint, posts: Posts) -> None:
    """Add what changes something."""
    actions: tuple[Many, ...] = ("retry", "forget")
    for action in actions:
        blueprint.add_url_rule(
            f"/queues/failed/<path:id>/{action}", action, _bound(posts.one, action), methods=["POST"]
        )
        blueprint.add_url_rule(
            f"/queues/failed/{action}", f"{action}_many", _bound(posts.many, action), methods=["POST"]
        )
    blueprint.add_url_rule("/queues/failed/flush", "flush", posts.flush, methods=["POST"])
    blueprint.add_url_rule("/queues/theme", "theme", posts.theme, methods=["POST"])


def _bound(view: Callable[..., Awaitable[Any]], first: object) -> Callable[..., Awaitable[Any]]:
    """Return a view with its first argument given: Quart calls views by keyword, and tells async ones by their kind."""

    async def bound(**values: Any) -> Any:
        return await view(first, **values)

    return bound


def _add_errors(blueprint: Blueprint, views: Views) -> None:
    """Answer what a view raises with a page, or with JSON, that says what to do."""

    async def answer(error: Exception) -> Response:
        return views.problem(_refused(error))

    for kind in (Refused, InvalidValue, JobNotFound, FailedJobNotFound, DuplicateJob, ReadOnly, DriverError):
        blueprint.register_error_handler(kind, answer)


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case InvalidValue():
            return Refused(400, "That cannot be", f"{error}.")
        case JobNotFound():
            return Refused(404, "No such job", "It has finished or failed, or there never was a job with this id.")
        case FailedJobNotFound():
            return Refused(
                404, "No such failed job", "It was retried or forgotten already, or no job with this id has failed."
            )
        case DuplicateJob():
            return Refused(
                409,
                "A job with this id is live",
                "It waits or runs under the same id, so the failed one stays here. Retry it when that one is done, or forget it.",
            )
        case ReadOnly():
            return Refused(409, "There is no failed-jobs store", f"{error}. Nothing was done.")
        case _:
            return Refused(
                503, "The store does not answer", "Try again in a moment; the log of this process shows more."
            )
