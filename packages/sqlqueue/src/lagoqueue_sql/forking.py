"""Connections that no fork may copy are closed before it; whoever needs one afterwards opens it anew.

SQLite notes the locks that it holds on a file in the memory of the process. A fork copies the notes,
but not the locks. A child that opened the file itself would believe that it holds what is the
parent's, and when the parent closes its connection, the log is checkpointed and removed under the
child: all that the child writes from then on is lost.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Closable(Protocol):
    """What holds a connection, and a lock for as long as it uses it."""

    lock: threading.RLock

    def close(self) -> None:
        """Close the connection."""
        ...


_all: weakref.WeakSet[Closable] = weakref.WeakSet()
_registering = threading.Lock()
_closed: list[Closable] = []


def close_before_fork(holder: Closable) -> None:
    """Have the connection closed before each fork, once it is not in use."""
    with _registering:
        _all.add(holder)


def _before() -> None:
    _registering.acquire()
    _closed.extend(_all)
    for holder in _closed:
        holder.lock.acquire()
        holder.close()


def _after() -> None:
    """In the parent, and in the child, where the thread that forked is the one that lives on and has the locks."""
    for holder in _closed:
        holder.lock.release()
    _closed.clear()
    _registering.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
