"""The headers that every answer of a dashboard carries."""

from __future__ import annotations

from lagoqueue_dashboard.guarding.access import AnyResponse

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy: nothing inline, nothing from elsewhere, in nobody's frame."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": a browser would then send `Origin: null` with these pages' own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

FRESH = "no-store"
"""Pages and JSON, which show what others must not find on a shared computer."""

LASTING = "private, max-age=31536000, immutable"
"""Files whose path changes with their content. Private, since only some may see the dashboard."""


def harden(response: AnyResponse, *, lasting: bool = False) -> None:
    """Set the headers of an answer. One that the answer has stays, but for how long it may be kept.

    Args:
        response: What is about to be sent.
        lasting: It is a file whose path changes with its content.
    """
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Cache-Control"] = LASTING if lasting and response.status_code in (200, 304) else FRESH
