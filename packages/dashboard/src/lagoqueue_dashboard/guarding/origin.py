"""Where a request that changes something was made: on this dashboard's own pages, or by a stranger's."""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Request

from lagoqueue_dashboard.guarding.refused import Refused

_PORTS = {"http": 80, "https": 443}


def check_origin(request: Request) -> None:
    """Refuse what another site made the browser send.

    `Sec-Fetch-Site` decides where the browser sends it: `same-origin` is all that a form of these pages
    can give. "none" would be a person's own doing, such as an address typed in, but nobody types a POST.
    Browsers leave the header out on plain HTTP to another computer: then `Origin`, and without one
    `Referer`, must name the host that was asked. Where neither came, as from curl, the token alone decides.

    Behind a proxy the scheme may be another one than the browser's, and the host if the proxy does
    not pass it on. An `https` origin is therefore accepted for a request that arrives as `http`.
    A proxy for plain HTTP must pass `Host` on, or its place be taken by a middleware that knows the proxy.

    Raises:
        Refused: It was made elsewhere.
    """
    sites = request.headers.getlist("Sec-Fetch-Site")
    if sites:
        if sites != ["same-origin"]:
            raise _refused()
        return
    origins = request.headers.getlist("Origin") or request.headers.getlist("Referer")
    if origins and (len(origins) > 1 or not _is_own(origins[0], request.scheme, request.headers.getlist("Host"))):
        raise _refused()


def _is_own(origin: str, scheme: str, hosts: list[str]) -> bool:
    """Tell whether a URL's origin is the one that a request was for; "null" is nobody's."""
    try:
        theirs = urlsplit(origin)
        ours = urlsplit(f"//{hosts[0]}" if len(hosts) == 1 else "//")
        port = _PORTS.get(theirs.scheme)
        return (
            (theirs.scheme == scheme or (theirs.scheme, scheme) == ("https", "http"))
            and theirs.hostname is not None
            and theirs.hostname == ours.hostname
            and (theirs.port or port) == (ours.port or port)
        )
    except ValueError:
        return False


def _refused() -> Refused:
    return Refused(
        403,
        "This came from another page",
        "What changes something must be sent from this dashboard's own pages, and your browser says that this was "
        "not. Nothing was done. Open the dashboard anew and try again; if it is behind a proxy, that must pass the "
        "header Host on.",
    )
