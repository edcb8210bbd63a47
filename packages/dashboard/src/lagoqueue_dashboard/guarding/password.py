"""`Password`: one password for everybody, by HTTP Basic, for a dashboard that stands alone."""

from __future__ import annotations

import hmac

from quart import Request, Response

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard.guarding.access import Access, Viewer

_SHORTEST = 12
_LONGEST_NAME = 100


class Password:
    """An `authorize` that lets in who knows the password; the user's name is whatever they say it is.

    Browsers send it with requests that other sites make, too; the tokens of the forms are there for that.

    Args:
        password: At least 12 characters, since anybody may try as often as they like.
        access: What it gives.

    Raises:
        InvalidValue: It is too short.
    """

    def __init__(self, password: str, access: Access) -> None:
        if len(password) < _SHORTEST:
            raise InvalidValue(
                f"the password is too easy to guess with {len(password)} characters: choose one of at least {_SHORTEST}"
            )
        self._password = password.encode()
        self._access = access

    async def __call__(self, request: Request) -> Viewer | Response:
        given = request.authorization
        if given is not None and given.type == "basic":
            password = (given.password or "").encode(errors="replace")
            if hmac.compare_digest(password, self._password):
                return Viewer(self._access, (given.username or "")[:_LONGEST_NAME])
        return Response(
            "This dashboard asks for a password; the user name is yours to choose.\n",
            401,
            {"WWW-Authenticate": 'Basic realm="lagoqueue", charset="UTF-8"'},
            content_type="text/plain; charset=utf-8",
        )
