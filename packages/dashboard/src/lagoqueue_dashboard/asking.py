"""`Ask`: all that a screen is made from: what to read, what was asked for, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from werkzeug.datastructures import MultiDict

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import FailedFilter
from lagoqueue_dashboard.guarding.access import Viewer
from lagoqueue_dashboard.payload import Redact
from lagoqueue_dashboard.reading import Look

LongWait = Callable[[str], float]
"""Returns the seconds after which a job that waits under a label is late."""

_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a screen.

    Attributes:
        look: Reads, and notes what it could not read.
        args: The query's parameters.
        viewer: Who asks.
        redact: Takes out of payloads what must not be seen.
        long_wait: When a waiting job is late.
    """

    look: Look
    args: MultiDict[str, str]
    viewer: Viewer
    redact: Redact | None
    long_wait: LongWait

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter, or the default where it is missing or empty."""
        return self.args.get(name, "") or default

    def one_of(self, name: str, *choices: Any) -> Any:
        """Return a parameter that must be one of some texts, the first of them where it is missing.

        Raises:
            InvalidValue: It is something else.
        """
        value = self.text(name, choices[0])
        if value not in choices:
            known = ", ".join(f'"{choice}"' for choice in choices)
            raise InvalidValue(f"{name} must be one of {known}, not {value[:50]!r}")
        return value

    def page(self) -> int | None:
        """Return the number of the page that was asked for; None where it was not by number.

        Raises:
            InvalidValue: It is no whole number from 1.
        """
        value = self.text("page")
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS and int(value) > 0):
            raise InvalidValue(f"page must be a whole number from 1, not {value[:50]!r}")
        return int(value)


def checked_ids(given: MultiDict[str, str]) -> tuple[str, ...]:
    """Return the ids that were selected in a query or a form, where they are given as they stand in a URL.

    Raises:
        InvalidValue: One that no job can have, or more than 1,000.
    """
    found = tuple(map(unquote, given.getlist("ids")))
    return FailedFilter(ids=found).ids or () if found else ()


def checked_id(job_id: str) -> str:
    """Return the id if a job can have it.

    Raises:
        InvalidValue: It is empty, too long, or has characters that no store keeps.
    """
    FailedFilter(ids=(job_id,))
    return job_id
