"""A signed double submit: a form is taken only from a page that this dashboard gave to the same viewer and browser."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from time import time
from typing import TypeAlias

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer, want_bytes
from quart import Quart, Request

from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard.guarding.access import AnyResponse
from lagoqueue_dashboard.guarding.refused import Refused

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"

LIFETIME = 12 * 3600
"""Seconds for which a form may be sent, at most; at least an hour less, since tokens are of a whole hour."""

TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
"""What may be sent: forms, whose fields are read."""

Secret: TypeAlias = str | bytes | Sequence[str | bytes]

_HOUR = 3600
_SHORTEST = 16


class _HourSigner(TimestampSigner):
    """Signs the hour and not the second, so that a part of a page that did not change is the same text."""

    def get_timestamp(self) -> int:
        return int(time()) // _HOUR * _HOUR


class Keys:
    """The keys that sign: `secret`, else the application's own, else one that only this process has.

    Args:
        secret: Text or bytes, or several: the first signs, the others are old ones that still count.

    Raises:
        InvalidValue: There is none in it, or one is shorter than 16 bytes.
    """

    def __init__(self, secret: Secret | None = None) -> None:
        self._given = None if secret is None else _checked(secret)
        self._random = secrets.token_bytes(32)

    def of(self, app: Quart) -> list[bytes]:
        """Return the keys, the one that signs last."""
        if self._given is not None:
            return self._given
        if app.secret_key:
            return [want_bytes(key) for key in (*(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key)]
        return [self._random]

    def lasting(self, app: Quart) -> bool:
        """Tell whether another process, or this one after a restart, has the same keys."""
        return self._given is not None or bool(app.secret_key)


class DoubleSubmit:
    """The cookie and the token of one request; both hold a number drawn by lot, each signed for its own purpose.

    A signature is for one dashboard and one viewer, so what was given to another is worth nothing: a
    cookie that a neighbouring subdomain plants, or a form from before somebody else logged in.

    Args:
        keys: As of `Keys.of`.
        request: The request.
        name: The dashboard's, among those of the application.
        path: Where it is mounted.
        viewer: The viewer's name.
    """

    def __init__(self, keys: Sequence[bytes], request: Request, name: str, path: str, viewer: str) -> None:
        # A browser sends one computer's cookies to all its ports: two dashboards there would overwrite each other's.
        port = request.host.rpartition("]")[2].partition(":")[2]
        place = [name, path, port]
        self._cookies = _serializer(keys, ["cookie", *place, viewer])
        self._tokens = _serializer(keys, ["token", *place, viewer])
        self._secure = request.is_secure
        # Only this host itself can set a cookie of this prefix, and only over TLS.
        self._prefix = "__Host-" if self._secure else ""
        self._path = "/" if self._secure else path
        self.cookie = f"{self._prefix}lagoqueue_csrf_{hashlib.sha256(_join(place)).hexdigest()[:8]}"
        self._received = request.cookies.getlist(self.cookie)
        self._nonce = self._load(self._cookies, self._received)
        self._asked = False

    def token(self) -> str:
        """Return the token for the forms of this answer, which then needs the cookie: see `finish`."""
        self._asked = True
        if self._nonce is None:
            self._nonce = secrets.token_urlsafe(24)
        return str(self._tokens.dumps(self._nonce))

    def check(self, tokens: Sequence[str]) -> None:
        """Refuse a form unless its token belongs to the cookie.

        Args:
            tokens: All that were sent, in fields and headers.

        Raises:
            Refused: With the reason.
        """
        if len(self._received) > 1:
            raise _refused("Your browser sent two cookies of one name. Delete this site's cookies, reload the page")
        if not self._received:
            raise _refused("The page's cookie did not come with it. Allow cookies for this site, reload the page")
        if len(tokens) != 1:
            raise _refused(f"It came {'without its token' if not tokens else 'with two tokens'}. Reload the page")
        try:
            nonce: object = self._tokens.loads(tokens[0], max_age=LIFETIME - _HOUR)
        except SignatureExpired:
            raise _refused(f"The page was opened more than {LIFETIME // _HOUR - 1} hours ago. Reload it") from None
        except BadData:
            raise _refused("It is of a page that was given to somebody else, or before a restart. Reload it") from None
        if self._nonce is None or not secrets.compare_digest(str(nonce).encode(), self._nonce.encode()):
            raise _refused("Another page was opened since, or somebody else has logged in. Reload the page")

    def finish(self, response: AnyResponse) -> None:
        """Set the cookie where the answer has a token, and the browser has not got this hour's."""
        if self._asked:
            value = str(self._cookies.dumps(self._nonce))
            if [value] != self._received:
                response.set_cookie(
                    self.cookie,
                    value,
                    max_age=LIFETIME,
                    path=self._path,
                    secure=self._secure,
                    httponly=True,
                    # Not "Strict": who comes by a link from elsewhere would get a new cookie, and lose all open forms.
                    # The cookie lets nobody in, and of what another site makes a browser send only GETs carry it.
                    samesite="Lax",
                )

    @staticmethod
    def _load(serializer: URLSafeTimedSerializer, received: Sequence[str]) -> str | None:
        try:
            return str(serializer.loads(received[0], max_age=LIFETIME)) if len(received) == 1 else None
        except BadData:
            return None


async def check_form(request: Request, submit: DoubleSubmit) -> None:
    """Refuse what does not carry the token of this viewer's page, in a field or a header and never in the URL.

    Raises:
        Refused: With the reason.
    """
    # What sends nothing at all is of no type: it lacks the token, which is the better reason.
    if request.mimetype not in TYPES and ("Content-Type" in request.headers or request.content_length):
        raise Refused(415, "This is no form", f"Send one of these content types: {', '.join(sorted(TYPES))}.")
    submit.check(request.headers.getlist(HEADER) + (await request.form).getlist(FIELD))


def _serializer(keys: Sequence[bytes], purpose: Sequence[str]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        list(keys),
        salt=_join(["lagoqueue-dashboard", *purpose]),
        signer=_HourSigner,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _join(parts: Sequence[str]) -> bytes:
    return json.dumps(parts).encode()


def _checked(secret: Secret) -> list[bytes]:
    keys = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    if not keys:
        raise InvalidValue("secret must hold at least one key; leave it out to use the application's secret_key")
    for key in keys:
        if not isinstance(key, (str, bytes)):
            raise InvalidValue(f"secret must be text, bytes or a list of those, and holds a {type(key).__name__}")
        if len(key) < _SHORTEST:
            raise InvalidValue(
                f"secret is too easy to guess with {len(key)} characters: give at least {_SHORTEST}, "
                "for example from secrets.token_hex()"
            )
    return [want_bytes(key) for key in reversed(keys)]


def _refused(reason: str) -> Refused:
    return Refused(403, "This page is out of date", f"{reason} and try again. Nothing was done.")
