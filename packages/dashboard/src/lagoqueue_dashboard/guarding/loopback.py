"""`loopback`: the rule where no `authorize` was given: this computer only."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from quart import Request

from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.guarding.refused import Refused

_FORWARDING = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-original-host",
        "x-envoy-external-address",
        "client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
    }
)
"""What proxies add, besides all that begins with `x-forwarded-`."""


WAY_OUT = """To let others in, say who may see it:

async def authorize(request): return await is_admin(request)  # or Access.READ, or a Viewer with a name
dashboard(inspector, authorize=authorize)"""


async def loopback(request: Request) -> Viewer:
    """Give full access to a browser on this computer, and refuse everything else.

    Raises:
        Refused: With the reason, and the way out.
    """
    refuse_others(request, WAY_OUT)
    return Viewer(Access.FULL)


def refuse_others(request: Request, way_out: str) -> None:
    """Refuse what does not come from a browser on this computer.

    The address of the client alone does not tell: a proxy on this computer relays strangers, and a
    stranger's page can give its own name the address 127.0.0.1 (DNS rebinding) and read what the browser gets.
    So a request must also come without a trace of a proxy, and be for a name that is always this computer's.

    A proxy that leaves no trace and sets the header `Host` to `localhost` cannot be told from a
    browser: behind a proxy give `authorize`.

    Raises:
        Refused: With the reason, and the way out.
    """
    reason = _strange(request)
    if reason is not None:
        raise Refused(
            403,
            "Only for this computer",
            f"This dashboard answers browsers on the computer that it runs on, and {reason}. {way_out}",
        )


def _strange(request: Request) -> str | None:
    client = request.scope.get("client")
    if client is None:
        return "this request came without a client's address, as over a Unix socket"
    if not is_loopback(client[0]):
        return "this request came from another one"
    # What speaks HTTP/1.0 is no browser, but some proxies do, and add no header.
    if request.http_version < "1.1" or any(_is_forwarding(name) for name in request.headers.keys()):  # noqa: SIM118
        return "this request came through a proxy, whose visitors may be anywhere"
    hosts = request.headers.getlist("Host")
    if len(hosts) != 1 or not is_loopback_name(hosts[0]):
        return "the name in the address bar is not localhost or 127.0.0.1"
    return None


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this computer's own, in whichever way it is written."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback


def is_loopback_name(host: str) -> bool:
    """Tell whether a `Host` header is a name that no DNS server can give to another computer."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        return is_loopback(name)
    name = host.partition(":")[0].lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def _is_forwarding(name: str) -> bool:
    name = name.lower()
    return name in _FORWARDING or name.startswith("x-forwarded-")
