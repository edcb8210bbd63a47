"""`frames`: a traceback cut into pieces, so that a reader sees the application's own lines first."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

_FRAME = re.compile(r'  File "(?P<file>[^"\n]*)", line \d+')
_LIBRARY = re.compile(
    r"(^|[/\\])(site-packages|dist-packages|lib[/\\]python\d[^/\\]*|lagoqueue(_\w+)?)[/\\]|^<frozen ", re.IGNORECASE
)


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a traceback that belong together.

    Attributes:
        kind: A frame of the application's "own", a frame of a "library", the "error" itself, or what is "between".
        text: The lines, with their line ends.
    """

    kind: Literal["own", "library", "error", "between"]
    text: str


def frames(traceback: str) -> list[Piece]:
    """Return a traceback's pieces, in order; together they are its whole text."""
    pieces: list[Piece] = []
    for line in traceback.splitlines(keepends=True):
        frame = _FRAME.match(line)
        if frame is not None:
            pieces.append(Piece("library" if _LIBRARY.search(frame["file"]) else "own", line))
        elif pieces and line.startswith("    ") and pieces[-1].kind in ("own", "library"):
            pieces[-1] = Piece(pieces[-1].kind, pieces[-1].text + line)
        else:
            pieces.append(Piece("between", line))
    # The last text that is no frame is the error; a message of several lines follows the last frame whole.
    last = max((index for index, piece in enumerate(pieces) if piece.kind in ("own", "library")), default=-1)
    return [
        Piece("error", piece.text) if index > last and piece.text.strip() else piece
        for index, piece in enumerate(pieces)
    ]
