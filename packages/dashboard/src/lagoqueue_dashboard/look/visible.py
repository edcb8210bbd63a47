"""Makes characters visible that would vanish from a page, or turn its words around."""

from __future__ import annotations

import re

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters but tab and newline, marks and overrides of direction, and what no encoding has."""


def visible(text: str) -> str:
    r"""Return the text with each such character as `\xNN` or `\uNNNN`.

    Names, payloads and errors come from anywhere. A right-to-left override in one would reorder the
    row that it stands in (Unicode Technical Report 36, section 2.8).
    """
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
