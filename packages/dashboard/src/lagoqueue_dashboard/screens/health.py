"""The health of what the queue lives in, with the remedy in words."""

from __future__ import annotations

import msgspec

from lagoqueue.monitor import HealthCheck
from lagoqueue_dashboard.asking import Ask
from lagoqueue_dashboard.screens import reads
from lagoqueue_dashboard.screens.notice import Tone

_ORDER = ("bad", "warn", "good")
_HEADLINES: dict[Tone, str] = {
    "bad": "Something needs a person",
    "warn": "Something is worth a look",
    "good": "All is well",
    "idle": "There is nothing to check",
}


class HealthScreen(msgspec.Struct, frozen=True):
    """The health.

    Attributes:
        tone: Of the worst check; "idle" where there is nothing to check.
        headline: The same in a sentence.
        checks: What was looked at, the worst first.
        problems: What could not be read, in words.
    """

    tone: Tone
    headline: str
    checks: list[HealthCheck]
    problems: list[str]


async def health(ask: Ask) -> HealthScreen:
    """Make the screen of the health."""
    checks = sorted(await reads.health(ask.look) or [], key=lambda check: _ORDER.index(check.level))
    tone: Tone = checks[0].level if checks else "idle"
    if ask.look.problems and not checks:
        return HealthScreen("bad", "The health could not be read", [], ask.look.problems)
    return HealthScreen(tone, _HEADLINES[tone], checks, ask.look.problems)
