"""`Options`: what a dashboard was told when it was made, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lagoqueue._time import Seconds, to_seconds
from lagoqueue.errors import InvalidValue
from lagoqueue_dashboard.actions import OnAction
from lagoqueue_dashboard.payload import Redact

LONG_WAIT = 60.0
"""Seconds after which a waiting job is late, where nothing else is said."""

SHORTEST_REFRESH = 1.0
LONGEST_REFRESH = 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a dashboard shows and acts.

    Attributes:
        title: Its name, at the top of every page.
        environment: Beside it, such as "production"; may be "".
        redact: Takes out of payloads what must not be seen.
        on_action: The audit hook.
        late: Seconds after which a waiting job is late, by label.
        late_elsewhere: The same under all other labels.
        refresh: Seconds between two refreshes of an open page.
    """

    title: str
    environment: str
    redact: Redact | None
    on_action: OnAction | None
    late: Mapping[str, float]
    late_elsewhere: float
    refresh: float

    def long_wait(self, queue: str) -> float:
        """Return the seconds after which a job that waits under this label is late."""
        return self.late.get(queue, self.late_elsewhere)


def checked(
    title: str,
    environment: str,
    redact: Redact | None,
    on_action: OnAction | None,
    long_wait: Seconds | Mapping[str, Seconds],
    refresh: Seconds,
) -> Options:
    """Return the options.

    Raises:
        InvalidValue: One of them is not what it may be.
    """
    for what, text in (("title", title), ("environment", environment)):
        if not isinstance(text, str):
            raise InvalidValue(f"{what} must be text, not {text!r}")
    for what, hook in (("redact", redact), ("on_action", on_action)):
        if hook is not None and not callable(hook):
            raise InvalidValue(f"{what} must be callable or None, not {hook!r}")
    late, elsewhere = {}, LONG_WAIT
    if isinstance(long_wait, Mapping):
        late = {label: _positive(seconds, f"long_wait of {label!r}") for label, seconds in long_wait.items()}
    else:
        elsewhere = _positive(long_wait, "long_wait")
    every = to_seconds(refresh, "refresh")
    if not SHORTEST_REFRESH <= every <= LONGEST_REFRESH:
        raise InvalidValue(f"refresh must be {SHORTEST_REFRESH:g} to {LONGEST_REFRESH:g} seconds, not {refresh!r}")
    return Options(title, environment, redact, on_action, late, elsewhere, every)


def _positive(seconds: Seconds, what: str) -> float:
    found = to_seconds(seconds, what)
    if found <= 0:
        raise InvalidValue(f"{what} must be longer than 0 seconds, not {seconds!r}")
    return found
