"""The theme that a viewer has chosen, and where it is remembered."""

from __future__ import annotations

from quart import Request, request

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard.guarding.access import AnyResponse
from lagoqueue_dashboard.guarding.guard import mount

COOKIE = "lagoqueue_theme"
THEMES = ("light", "dark")

_YEAR = 365 * 24 * 3600


def chosen(request: Request) -> str:
    """Return "light", "dark", or "" where the browser's own preference counts."""
    value = request.cookies.get(COOKIE, "")
    return value if value in THEMES else ""


def choose(response: AnyResponse, value: str) -> None:
    """Have the browser remember a theme; "auto" is its own preference.

    Raises:
        InvalidValue: It is none.
    """
    if value == "auto":
        response.delete_cookie(COOKIE, path=mount())
    elif value in THEMES:
        response.set_cookie(COOKIE, value, max_age=_YEAR, path=mount(), secure=request.is_secure, samesite="Lax")
    else:
        raise InvalidValue(f'theme must be "light", "dark" or "auto", not {value[:50]!r}')
