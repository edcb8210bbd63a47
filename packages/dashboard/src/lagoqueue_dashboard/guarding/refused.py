"""`Refused`: why a request is not answered, and what to do about it, for whoever made it."""

from __future__ import annotations


class Refused(Exception):
    """Ends a request; the dashboard answers it with a page, or with JSON, that says why.

    Attributes:
        status: The HTTP status.
        title: What is the matter, in a few words.
        text: Why, and the way out; names nothing that a stranger must not know.
    """

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(f"{status} {title}: {text}")
        self.status = status
        self.title = title
        self.text = text
