"""`Prefixed`: an application behind a proxy that takes a prefix off the path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import quote

from lagoqueue.errors import InvalidValue

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
# Any: an application may be typed with its framework's own names for these.
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
"""Steps of letters, digits and `._~-`, none of which is "." or ".."."""

_LONGEST = 200


class Prefixed:
    """Puts back the prefix that a proxy took off, so that links, forms, redirects and cookies carry it.

    ::

        app = Prefixed(app, "/jobs")

    A path that begins with the prefix stays as it is. So it does no harm where the proxy takes nothing
    off, but an application must not have a first step of that name itself.

    Args:
        app: Any ASGI application.
        prefix: What the proxy takes off. Without it, the server's `root_path` is put back, which
            `hypercorn --root-path` gives without the path beginning with it.
        trust_header: Take the prefix from the header `X-Forwarded-Prefix`, and `prefix` where there is none.
            Only behind a proxy that sets or removes it: else anyone says where the links lead.

    Raises:
        InvalidValue: The prefix is none.
    """

    def __init__(self, app: ASGIApp, prefix: str | None = None, *, trust_header: bool = False) -> None:
        if prefix is not None and not is_prefix(prefix):
            raise InvalidValue(
                f'prefix must be a path such as "/jobs" or "/intern/jobs", without a slash at its end, not {prefix!r}'
            )
        self._app = app
        self._prefix = prefix or ""
        self._trust_header = trust_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            prefix = self._prefix
            if self._trust_header:
                found = [value for name, value in scope["headers"] if name == b"x-forwarded-prefix"]
                if found:
                    text = found[0].decode("latin-1").rstrip("/")
                    if len(found) > 1 or not (text == "" or is_prefix(text)):
                        await _refuse(scope, send)
                        return
                    prefix = text
            scope = _under(_under(scope, scope.get("root_path", "")), prefix, new=True)
        await self._app(scope, receive, send)


def is_prefix(text: str) -> bool:
    """Tell whether a text can be put before a path without leading elsewhere."""
    return len(text) <= _LONGEST and _PREFIX.fullmatch(text) is not None


def _under(scope: Scope, prefix: str, *, new: bool = False) -> Scope:
    """Return a scope whose path begins with the prefix, and whose root path does if the prefix is `new` to it."""
    if not prefix:
        return scope
    root, path = scope.get("root_path", ""), scope["path"]
    moved = {**scope, "root_path": prefix + root if new and not _begins(root, prefix) else root}
    if not _begins(path, prefix):
        moved["path"] = prefix + path
        if scope.get("raw_path") is not None:
            moved["raw_path"] = quote(prefix, safe="/~").encode("ascii") + scope["raw_path"]
    return moved


def _begins(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": b"The proxy sent a header X-Forwarded-Prefix that is no path.\n"})
