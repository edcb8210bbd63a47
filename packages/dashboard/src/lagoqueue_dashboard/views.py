"""`Views`: answers what only looks: pages, their JSON twins, and the parts that an open page refreshes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from quart import Response, request

from lagoqueue.monitor import COUNT_CAP
from lagoqueue_dashboard import flash, theme
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.assets import Assets
from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.guarding.guard import csrf_token, mount, viewer
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.options import Options
from lagoqueue_dashboard.pages import Page
from lagoqueue_dashboard.reading import Look, Reader
from lagoqueue_dashboard.rendering import make_environment, render, render_parts, url
from lagoqueue_dashboard.screens import reads

_encode = msgspec.json.Encoder().encode


class Views:
    """Makes screens and shows them.

    Args:
        reader: Reads the inspector.
        options: How to show.
    """

    def __init__(self, reader: Reader, options: Options) -> None:
        self._reader = reader
        self._options = options
        self.assets = Assets()
        self._environment = make_environment(self.assets.url)

    # --- What a page shows ----------------------------------------------------------------------------

    async def html(self, page: Page) -> Response:
        """Answer with a page."""
        look, screen, failed = await self._made(page)
        said = flash.take(request)
        text = render(self._environment, page.name, self._context(page.name, screen, look, failed, said, page))
        response = Response(text, _status(look), content_type="text/html; charset=utf-8")
        if said is not None:
            response.delete_cookie(flash.COOKIE, path=mount(), secure=request.is_secure, httponly=True)
        return response

    async def json(self, page: Page) -> Response:
        """Answer with what the page shows, as data."""
        look, screen, _ = await self._made(page)
        return await _json(screen, _status(look))

    async def live(self, page: Page) -> Response:
        """Answer with the parts of the page that change, or with 304 while what they show does not."""
        look, screen, failed = await self._made(page)
        token = csrf_token()
        # Not of the parts themselves: "3 s ago" is another text every second, and the page counts on by itself.
        seen = hashlib.sha256(_encode((screen, failed, token))).hexdigest()[:20]
        if request.if_none_match.contains(seen):
            response = Response("", 304)
            response.set_etag(seen)
            return response
        parts = render_parts(self._environment, page.name, self._context(page.name, screen, look, failed, None, page))
        # The token for the forms outside the parts: the one that the page came with ends after some hours.
        return await _json({"at": look.read_at, "stale": look.stale, "csrf": token, "parts": parts}, 200, seen)

    async def stats(self) -> Response:
        """Answer with the counters, as the Go library's dashboard does."""
        look = Look(self._reader)
        found = await reads.stats(look)
        if not look.found:
            raise Refused(503, "The counters cannot be read", " ".join(look.problems))
        return await _json(found, 200)

    # --- What is no page ------------------------------------------------------------------------------

    def problem(self, refused: Refused) -> Response:
        """Answer with why there is no answer."""
        if request.path.rpartition("/queues/")[2].startswith("api/"):
            body = {"error": {"status": refused.status, "title": refused.title, "text": refused.text}}
            return Response(_escaped(body), refused.status, content_type="application/json")
        context = self._context("error", refused, Look(self._reader), None, None, None)
        text = render(self._environment, "error", context)
        return Response(text, refused.status, content_type="text/html; charset=utf-8")

    def progress(self, screen: msgspec.Struct) -> Response:
        """Answer with how far an action on many jobs is."""
        text = render(
            self._environment, "progress", self._context("progress", screen, Look(self._reader), None, None, None)
        )
        return Response(text, content_type="text/html; charset=utf-8")

    # --- Making it ------------------------------------------------------------------------------------

    async def _made(self, page: Page) -> tuple[Look, msgspec.Struct, int | None]:
        """Return what was read, the screen, and how many failed jobs there are."""
        look = Look(self._reader)
        who = viewer() or Viewer(Access.NONE)
        ask = Ask(look, request.args, who, self._options.redact, self._options.long_wait)
        screen, failed = await asyncio.gather(page.make(ask), reads.failed_count(look))
        return look, screen, failed

    def _context(
        self,
        page: str,
        screen: object,
        look: Look,
        failed: int | None,
        said: flash.Flash | None,
        shown: Page | None,
    ) -> Mapping[str, Any]:
        # Of the query only what the page reads: anything else could have a meaning of its own to what makes links.
        query = {} if shown is None else {name: request.args.get(name, "") for name in shown.takes}
        pairs = [(name, value) for name in query for value in request.args.getlist(name) if value]
        live = None if shown is None or not shown.live else url("live", screen=shown.name, **query)
        return {
            "screen": screen,
            "page": page,
            "title": self._options.title,
            "environment": self._options.environment,
            "viewer": viewer() or Viewer(Access.NONE),
            "csrf": csrf_token(),
            "theme": theme.chosen(request),
            "query": query,
            "query_string": urlencode(pairs),
            "nav_failed": failed,
            "nav_failed_more": failed is not None and failed >= COUNT_CAP,
            "live": live,
            "every": self._options.refresh,
            "read_at": look.read_at,
            "stale": look.stale,
            "flash": said,
        }


def _status(look: Look) -> int:
    return 503 if look.stale and not look.found else 200


def _escaped(body: object) -> bytes:
    """Return JSON in which no text ends a script or begins a tag, wherever a browser may come to put it."""
    text = _encode(body)
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


async def _json(body: object, status: int, seen: str | None = None) -> Response:
    text = _escaped(body)
    response = Response(text, status, content_type="application/json")
    if status == 200:  # what could not be read is nothing that a browser has already
        response.set_etag(seen or hashlib.sha256(text).hexdigest()[:20])
        await response.make_conditional(request)
    return response
