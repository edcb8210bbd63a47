"""Pages that go on from a place instead of counting rows: their cursors, and how long they may be.

A page that is asked for by number makes a store count all rows before it. A cursor says behind
which row to go on, so the thousandth page costs what the first does. It is opaque to who passes it.
"""

from __future__ import annotations

import base64
from typing import TypeVar, get_args

import msgspec

from lagoqueue._time import at_least_one
from lagoqueue.errors import InvalidJob, InvalidValue
from lagoqueue.job import MAX_LABEL, check_text
from lagoqueue.monitor.views import LiveState

COUNT_CAP = 10_000
"""Where counting stops: this count means "that many or more". Also the rows that one search looks at."""

MAX_ROWS = 1_000
"""Rows that one call returns or changes at most."""

_MAX_CURSOR = 1_000
_INT64 = range(-(2**63), 2**63)

_Place = TypeVar("_Place", bound=tuple[object, ...])


def row_limit(limit: int) -> int:
    """Return `limit` if it is a number of rows that one call may return or change.

    Raises:
        InvalidValue: Not a whole number from 1 to 1,000.
    """
    if at_least_one(limit, "limit") > MAX_ROWS:
        raise InvalidValue(f"limit must be at most {MAX_ROWS:,}, not {limit}; go on from the page's `next` for more")
    return limit


def live_state(state: LiveState) -> LiveState:
    """Return `state` if it is one of a live job.

    Raises:
        InvalidValue: It is not.
    """
    if state not in get_args(LiveState):
        raise InvalidValue(
            f'state must be "pending", "delayed" or "reserved", not {state!r}; failed jobs are in `failed_jobs`'
        )
    return state


def queue_label(queue: str) -> str:
    """Return `queue` if it is a label that a queue can have.

    Raises:
        InvalidValue: Not text, empty, too long, or with characters that no store keeps.
    """
    try:
        return check_text(queue, "a queue's label", MAX_LABEL)
    except InvalidJob as error:
        raise InvalidValue(str(error)) from None


def write_cursor(*place: str | float) -> str:
    """Return the cursor of a place: what the store sorts by, of the last row that it looked at."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def read_cursor(cursor: str, place: type[_Place]) -> _Place:
    """Return the place that `write_cursor` was given.

    Args:
        cursor: What a page's `next` was; anybody can have tampered with it on its way.
        place: The types of a place, as in `tuple[str, int]`.

    Raises:
        InvalidValue: It is not the cursor of such a place.
    """
    if isinstance(cursor, str) and len(cursor) <= _MAX_CURSOR:
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=place)
        except (ValueError, msgspec.DecodeError):
            pass
        else:
            if all(map(_storable, found)):
                return found
    raise InvalidValue(f"after must be the `next` of a page of the same list, not {str(cursor)[:100]!r}")


def _storable(part: object) -> bool:
    """Tell whether a database takes it as a parameter."""
    if isinstance(part, str):
        return "\0" not in part
    return not isinstance(part, int) or part in _INT64
