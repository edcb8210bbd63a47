"""`Failure`: what is kept of an exception, made safe for every store and every page."""

from __future__ import annotations

import traceback

import msgspec

MAX_ERROR = 8_192
MAX_TRACEBACK = 65_536


class Failure(msgspec.Struct, frozen=True):
    """Why a job failed.

    Attributes:
        kind: Name of the exception's class, qualified unless it is a builtin: groups failures.
        error: `kind: message`, at most 8,192 characters.
        traceback: The formatted traceback, at most 65,536 characters (its head and its tail).
    """

    kind: str
    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception. Never raises, whatever the exception's own methods do."""
        kind = type(error).__qualname__
        module = type(error).__module__
        if module not in ("builtins", "__main__"):
            kind = f"{module}.{kind}"
        try:
            message = str(error)
        except BaseException as second:  # an exception's __str__ is the user's code
            message = f"<its str() raised {type(second).__name__}>"
        try:
            lines = "".join(traceback.format_exception(error))
        except BaseException as second:  # formatting calls the same code
            lines = f"<formatting the traceback raised {type(second).__name__}>"
        return cls(
            kind=storable(kind, MAX_ERROR),
            error=storable(f"{kind}: {message}" if message else kind, MAX_ERROR),
            traceback=storable(lines, MAX_TRACEBACK),
        )


def storable(text: str, longest: int) -> str:
    """Return `text` with NUL and lone surrogates escaped, cut in its middle to `longest` characters."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= longest:
        return text
    mark = f"\n[... {len(text) - longest} characters left out ...]\n"
    head = (longest - len(mark)) // 2
    return text[:head] + mark + text[head + len(mark) - longest :]
