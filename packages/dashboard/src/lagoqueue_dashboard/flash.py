"""`Flash`: what was done, said once on the page that comes after."""

from __future__ import annotations

import msgspec
from quart import Request

from lagoqueue_dashboard.actions import Done
from lagoqueue_dashboard.guarding.access import AnyResponse
from lagoqueue_dashboard.look.format import plural
from lagoqueue_dashboard.screens.notice import Tone

COOKIE = "lagoqueue_done"

_LIFETIME = 60
"""Seconds after which it is no longer worth saying."""

_SAID = {"retry": "put back in the queue", "forget": "forgotten", "flush": "forgotten"}
_MOST_DIGITS = 12


class Flash(msgspec.Struct, frozen=True):
    """A sentence on what was done, and how well."""

    tone: Tone
    text: str


def leave(response: AnyResponse, path: str, secure: bool, action: str, done: Done) -> None:
    """Have the next page below `path` say what was done.

    The cookie holds numbers, and the page makes the sentence, so that nobody can put words into it.
    """
    value = f"{action}.{done.done}.{done.skipped}.{done.gone}"
    response.set_cookie(COOKIE, value, max_age=_LIFETIME, path=path, secure=secure, httponly=True, samesite="Strict")


def take(request: Request) -> Flash | None:
    """Return what the page before has left."""
    action, *numbers = request.cookies.get(COOKIE, "").split(".")
    if action not in _SAID or len(numbers) != 3:
        return None
    if not all(number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS for number in numbers):
        return None
    done, skipped, gone = map(int, numbers)
    return said(action, Done(done, skipped, gone))


def said(action: str, done: Done) -> Flash:
    """Return what an action did, in a sentence or two."""
    sentences = []
    if done.done or not (done.skipped or done.gone):
        sentences.append(f"{plural(done.done, 'job')} {'was' if done.done == 1 else 'were'} {_SAID[action]}.")
    if done.skipped:
        one = done.skipped == 1
        sentences.append(
            f"{plural(done.skipped, 'job')} {'was' if one else 'were'} left: "
            f"{'a job with the same id is' if one else 'jobs with the same ids are'} waiting or running."
        )
    if done.gone:
        one = done.gone == 1
        sentences.append(f"{plural(done.gone, 'job')} {'was' if one else 'were'} no longer there.")
    return Flash("warn" if done.skipped or done.gone else "good", " ".join(sentences))
