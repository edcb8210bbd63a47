"""`Guard`: stands before every route of a dashboard, and behind it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from quart import Blueprint, current_app, g, request, url_for

from lagoqueue_dashboard.guarding.access import AnyResponse, Authorize, Viewer, judge
from lagoqueue_dashboard.guarding.csrf import DoubleSubmit, Keys, Secret, check_form
from lagoqueue_dashboard.guarding.headers import harden
from lagoqueue_dashboard.guarding.loopback import loopback
from lagoqueue_dashboard.guarding.origin import check_origin
from lagoqueue_dashboard.guarding.refused import Refused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

OPEN_TO_READERS = "theme"
"""The endpoint that who may only look may still post to, since it changes nothing."""

LASTING = "asset"
"""The endpoint of files whose path changes with their content."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the guard knows of a request that it let in."""

    viewer: Viewer
    submit: DoubleSubmit


class Guard:
    """Lets in who may, checks what changes something, and sees to the headers of every answer.

    Whatever else handles a request, hooks of the application too, a route is reached by those only who were let in.
    What it refuses it raises as `Refused`, for the blueprint's error handler.

    Args:
        authorize: Says who may; None admits browsers on this computer.
        secret: Signs forms; see `Keys`.

    Raises:
        InvalidValue: The secret is none.
    """

    def __init__(self, authorize: Authorize | None = None, secret: Secret | None = None) -> None:
        self._authorize: Authorize = loopback if authorize is None else authorize
        self._keys = Keys(secret)

    def protect(self, blueprint: Blueprint) -> None:
        """Stand before and behind every route of the blueprint, which needs one named `overview`."""
        blueprint.before_request(self._enter)
        blueprint.after_request(self._leave)

    async def _enter(self) -> AnyResponse | None:
        verdict = await judge(self._authorize, request)
        if not isinstance(verdict, Viewer):
            return verdict
        submit = DoubleSubmit(self._keys.of(current_app), request, request.blueprint or "", mount(), verdict.name)
        g._lagoqueue_dashboard = _Entry(verdict, submit)
        if request.method not in SAFE and request.routing_exception is None:
            if not verdict.acts and _endpoint() != OPEN_TO_READERS:
                raise Refused(403, "You may only look", "Your access to this dashboard is read-only. Nothing was done.")
            check_origin(request)
            await self._check_form(submit)
        return None

    async def _check_form(self, submit: DoubleSubmit) -> None:
        try:
            await check_form(request, submit)
        except Refused as refused:
            if refused.status == 403 and not self._keys.lasting(current_app):
                refused.text += (
                    " If several processes serve this dashboard they need one key: set the application's secret_key, "
                    "or give secret= to the dashboard."
                )
            raise

    def _leave(self, response: AnyResponse) -> AnyResponse:
        harden(response, lasting=_endpoint() == LASTING)
        entry = g.get("_lagoqueue_dashboard")
        if entry is not None:
            entry.submit.finish(response)
        return response


def mount() -> str:
    """Return the path below which all pages of this dashboard are."""
    return urlsplit(url_for(".overview")).path.rstrip("/") or "/"


def viewer() -> Viewer | None:
    """Return who makes the present request; None where it was not let in, as on the page that says so."""
    entry = g.get("_lagoqueue_dashboard")
    return None if entry is None else entry.viewer


def csrf_token() -> str:
    """Return the token for the forms of the present answer; "" where the request was not let in."""
    entry = g.get("_lagoqueue_dashboard")
    return "" if entry is None else entry.submit.token()


def _endpoint() -> str:
    return (request.endpoint or "").rpartition(".")[2]
