"""Who may see a dashboard, and who may act: what `authorize` answers, and the rule where there is none."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, cast

from quart import Request, Response, current_app
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from lagoqueue_dashboard.guarding.refused import Refused

_log = logging.getLogger("lagoqueue.dashboard")


class Access(IntEnum):
    """How much somebody may do; a higher one includes the lower."""

    NONE = 0
    """See nothing."""
    READ = 1
    """See everything, change nothing."""
    FULL = 2
    """See everything, retry and forget."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at a dashboard.

    Attributes:
        access: How much they may do.
        name: Who they are, for the page and the audit hook; forms are bound to it. "" when unknown.
    """

    access: Access
    name: str = ""

    @property
    def acts(self) -> bool:
        """True when they may change things."""
        return self.access >= Access.FULL


AnyResponse: TypeAlias = Response | WerkzeugResponse

Verdict: TypeAlias = bool | Access | Viewer | AnyResponse | None
"""What `authorize` may return: True is full access, False and None are none. A response is the answer itself."""

Authorize: TypeAlias = Callable[[Request], Verdict | Awaitable[Verdict]]
"""Decides on a request. A plain function is called in a thread, as Quart calls any view that is one."""


async def judge(authorize: Authorize, request: Request) -> Viewer | AnyResponse:
    """Return who makes the request, or the response that they get instead.

    Whatever goes wrong, nobody is let in: an HTTP error that `authorize` raises passes through as it
    is; any other exception and any other return value are logged.

    Raises:
        Refused: They may see nothing, or it cannot be told.
        HTTPException: `authorize` raised it.
    """
    try:
        verdict: object = await current_app.ensure_async(cast("Callable[[Request], Verdict]", authorize))(request)
        if inspect.isawaitable(verdict):  # a partial, an object or a lambda around a coroutine function
            verdict = await verdict
    except (HTTPException, Refused):
        raise
    except Exception:
        _log.exception("authorize raised an exception, so nobody is let in")
        raise _undecided() from None
    match verdict:
        case Response() | WerkzeugResponse():
            return verdict
        case Viewer(access=Access() as access, name=str()):
            viewer = verdict
        case Access() as access:
            viewer = Viewer(access)
        case bool() | None:
            viewer = Viewer(Access.FULL if verdict else Access.NONE)
        case _:
            _log.error(
                "authorize must return a bool, None, an Access, a Viewer or a response, not %s, so nobody is let in",
                f"a Viewer of {verdict.access!r} and {verdict.name!r}"
                if isinstance(verdict, Viewer)
                else type(verdict).__name__,
            )
            raise _undecided()
    if viewer.access is Access.NONE:
        raise Refused(403, "You may not see this", "Ask whoever runs this application for access to its dashboard.")
    return viewer


def _undecided() -> Refused:
    return Refused(
        503,
        "It cannot be told who you are",
        "The check of who may see this dashboard failed, so nobody is let in. The log of the application says why.",
    )
