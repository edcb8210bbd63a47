"""`HealthCheck`: what was found about one side of a store, in words."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["good", "warn", "bad"]
"""How a check turned out: nothing to do, worth a look, or to be put right."""


class HealthCheck(msgspec.Struct, frozen=True):
    """What was found about one side of a store.

    Attributes:
        name: What was looked at, in a word or two.
        level: How it turned out.
        finding: What was found, with the figures: one sentence.
        remedy: What to do; "" where there is nothing to do.
    """

    name: str
    level: Level
    finding: str
    remedy: str = ""
