"""Calling into an event loop from wherever one happens to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> bool:
    """Call back in the loop's thread: now when this is it, else as soon as the loop turns.

    Returns:
        False when the loop is closed, so that nobody will be called.
    """
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:  # this thread runs no loop
        here = False
    if here:
        callback()
        return True
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed
        return False
    return True
