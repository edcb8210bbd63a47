"""`PayloadView`: a payload as a tree that can be shown, cut to a size and with secrets taken out."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from lagoqueue.job import Job

Redact = Callable[[Job, Any], Any]
"""Gets a job and its decoded payload (its bytes where that is no JSON), and returns what may be shown of it.

It runs in a thread, not in the event loop.
"""

Kind = Literal["object", "array", "text", "number", "true", "false", "null", "more"]

SECRETS = ("password", "passwd", "secret", "token", "apikey", "authorization", "cookie", "credential", "privatekey")
"""What a key's name holds, in lower case and without `_`, `-` and spaces, if its value is hidden by default."""

REDACTED = "[redacted]"

MOST_BYTES = 256 * 2**10
"""A longer payload is not decoded to be shown: of many small values it would take a second and 100 MB."""

MOST_TEXT = 64 * 2**10
"""Characters of a payload that are shown as text."""

MOST_NODES = 1_000
MOST_CHILDREN = 200
MOST_DEPTH = 20
MOST_VALUE = 2_000
"""Characters of one key, text or number in the tree."""

MOST_TREE = 64 * 2**10
"""Characters of all of them; the one that goes beyond is the last."""

_SECRET = re.compile("|".join(SECRETS))
_SEPARATORS = str.maketrans("", "", "_- ")

_log = logging.getLogger("lagoqueue.dashboard")


class Node(msgspec.Struct, frozen=True):
    """One value of a payload.

    Attributes:
        kind: What it is; "more" stands for what was left out.
        key: Its name in the object that it is in, or None.
        text: The value as it is written in JSON without its quotes, or what "more" leaves out.
        size: Of an object or array: how many values it has.
        children: Of an object or array: its values.
    """

    kind: Kind
    key: str | None
    text: str
    size: int = 0
    children: tuple[Node, ...] = ()


class PayloadView(msgspec.Struct, frozen=True):
    r"""A payload for the eyes.

    Attributes:
        tree: The payload as JSON, or None where it is none.
        text: Its beginning as text, bytes that are no text as `\xNN`; for copying and where it is no JSON.
        size: Bytes of the whole payload.
        cut: `tree` and `text` do not show all of it.
        note: Why there is no tree, or what was left out, in words; or "".
    """

    tree: Node | None
    text: str
    size: int
    cut: bool
    note: str


def redact_secrets(job: Job, payload: Any) -> Any:
    """Hide the values of keys whose names say that they are secret (`SECRETS`), and what lies deeper than the tree shows.

    Of what is no JSON, nothing is shown if such a name is in it: where the value ends cannot be told.
    """
    if isinstance(payload, bytes):
        return REDACTED.encode() if _is_secret(payload.decode("latin-1")) else payload
    return _hidden(payload, 0)


def _hidden(value: Any, depth: int) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    if depth > MOST_DEPTH:
        return REDACTED
    if isinstance(value, dict):
        return {key: REDACTED if _is_secret(key) else _hidden(each, depth + 1) for key, each in value.items()}
    return [_hidden(each, depth + 1) for each in value]


def _is_secret(key: object) -> bool:
    return _SECRET.search(str(key).lower().translate(_SEPARATORS)) is not None


def show_payload(job: Job, redact: Redact | None) -> PayloadView:
    """Return a job's payload for the eyes.

    With very many values it takes some tenths of a second: so not in the event loop.

    Args:
        job: Whose payload.
        redact: Takes out what must not be seen; None shows all. When it fails, nothing is shown.
    """
    size = len(job.payload)
    if size > MOST_BYTES:
        note = f"It is too large to be shown: at most {MOST_BYTES // 2**10} KB are."
        return PayloadView(None, "", size, True, note)
    try:
        value = msgspec.json.decode(job.payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        value, note = job.payload, f"It is not JSON: {error}" if size else "It is empty."
    else:
        note = ""
    try:
        if redact is not None:
            value = redact(job, value)
    except Exception:
        _log.exception("redact failed for job %s", job.id)
        return PayloadView(None, "", size, True, "It is hidden, because the redaction of this dashboard failed.")
    if isinstance(value, bytes):
        text = value[:MOST_TEXT].decode(errors="backslashreplace")
        return PayloadView(None, text, size, len(value) > MOST_TEXT, note)
    try:
        text = msgspec.json.format(msgspec.json.encode(value)).decode()
        builder = _Builder()
        tree = builder.node(None, value, 0)
    except Exception:
        _log.exception("the payload of job %s cannot be shown, or what redact made of it cannot", job.id)
        return PayloadView(None, "", size, True, "It cannot be shown; the log of this process says why.")
    cut = builder.cut or len(text) > MOST_TEXT
    if cut:
        note = "It is long, so not all of it is shown."
    return PayloadView(tree, text[:MOST_TEXT], size, cut, note)


class _Builder:
    """Makes a tree of a decoded payload within the limits."""

    def __init__(self) -> None:
        self.cut = False
        self._left = MOST_NODES
        self._room = MOST_TREE

    def node(self, key: str | None, value: Any, depth: int) -> Node:
        self._left -= 1
        key = None if key is None else self._short(key)
        if isinstance(value, dict):
            items = ((str(name), each) for name, each in value.items())
            return Node("object", key, "", len(value), self._children(items, len(value), depth))
        if isinstance(value, (list, tuple)):
            return Node(
                "array", key, "", len(value), self._children(((None, each) for each in value), len(value), depth)
            )
        if isinstance(value, str):
            return Node("text", key, self._short(value, lambda text: msgspec.json.encode(text).decode()[1:-1]))
        if value is None or isinstance(value, bool):
            kind: Kind = "null" if value is None else "true" if value else "false"
            return Node(kind, key, kind)
        return Node("number", key, self._short(msgspec.json.encode(value).decode()))

    def _short(self, text: str, written: Callable[[str], str] = str) -> str:
        """Return the beginning of a text as it is written, and count what that takes."""
        if len(text) > MOST_VALUE:
            self.cut = True
            text = text[:MOST_VALUE] + "…"
        text = written(text)
        self._room -= len(text)
        return text

    def _children(self, items: Iterator[tuple[str | None, Any]], size: int, depth: int) -> tuple[Node, ...]:
        children: list[Node] = []
        if depth < MOST_DEPTH:
            for key, value in items:
                if len(children) == MOST_CHILDREN or self._left <= 0 or self._room <= 0:
                    break
                children.append(self.node(key, value, depth + 1))
        if len(children) < size:
            self.cut = True
            children.append(Node("more", None, f"{size - len(children):,} more"))
        return tuple(children)
