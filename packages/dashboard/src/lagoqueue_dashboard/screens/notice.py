"""`Notice`: a sentence that a person should read before anything else on a screen."""

from __future__ import annotations

from typing import Literal

import msgspec

Tone = Literal["good", "idle", "warn", "bad"]
"""How a thing stands: well, with nothing to do, worth a look, or in need of a person."""


class Notice(msgspec.Struct, frozen=True):
    """What a person should know, in words.

    Attributes:
        tone: How bad it is.
        title: The point, as a short sentence.
        text: More of it, with the figures; may be "".
        queue: The label that it is about, to link to it.
    """

    tone: Tone
    title: str
    text: str = ""
    queue: str | None = None
