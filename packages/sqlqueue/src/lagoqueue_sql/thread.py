"""`OwnerThread`: the one thread that owns the connection, and how coroutines have it do things.

A function is handed over through a queue, and its result comes back with `call_soon_threadsafe`:
one hop for a whole transaction, where a driver that hops for each statement pays for three.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from lagoqueue.errors import QueueClosed
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from lagoqueue_sql.store import Store

T = TypeVar("T")
Function = Callable[[Store], T]
Undo = Callable[[Link, T], object]

PATIENCE = 2.0
"""Seconds that closing waits for what runs, and again once that was interrupted."""

_log = logging.getLogger("lagoqueue.sql")


class _Call(Generic[T]):
    """A function on its way through the thread, and what came of it.

    `finish` and `abandon` race when the waiting coroutine is cancelled; the lock decides, so that
    exactly one side sees both and undoes what nobody will receive.
    """

    def __init__(
        self,
        function: Function[T],
        *,
        undo: Undo[T] | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.function = function
        self.undo = undo
        self.error: BaseException | None = None
        self._result: T | None = None
        self._wake = wake
        self._finished = False
        self._lock = threading.Lock()
        self.abandoned = False

    def run(self, store: Store) -> None:
        """In the thread: do it, and hand the outcome over, or undo it where nobody waits any more."""
        if self.abandoned:
            return
        try:
            self._result = self.function(store)
        except BaseException as error:  # also SystemExit from a bug: the thread must live, the caller must know
            self.error = error
        with self._lock:
            self._finished = True
            abandoned = self.abandoned
        if abandoned or not self._woken():
            self._run_undo(store)

    def _woken(self) -> bool:
        if self._wake is not None:
            try:
                self._wake()
            except RuntimeError:  # the waiting loop was closed
                return False
        return True

    def abandon(self) -> bool:
        """The caller no longer waits; return whether an outcome was there already."""
        with self._lock:
            self.abandoned = True
            return self._finished

    def _run_undo(self, store: Store) -> None:
        if self.undo is None or self.error is not None:
            return
        undo, result = self.undo, self.outcome()
        try:
            store.run(lambda link: undo(link, result), Mode.ATOMIC)
        except Exception:
            _log.warning("could not give back what a cancelled call had reserved; it will expire", exc_info=True)

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # set whenever there is no error


class Chores(Protocol):
    """What the thread does beside its calls."""

    def do(self, store: Store) -> float | None:
        """Do what is due, and return the seconds until something will be; None for nothing."""
        ...

    def finish(self, store: Store) -> None:
        """Do all that is left, since the thread ends."""
        ...

    def reset(self) -> None:
        """Forget what is left: after a fork it is the parent's to do."""
        ...


class OwnerThread:
    """Runs functions on a store one after another, in a daemon thread that starts when first needed.

    Safe from threads and from several event loops. After a fork the child starts its own thread
    with its own connection; the parent's is left untouched.
    """

    def __init__(self, make_store: Callable[[], Store], name: str, chores: Chores | None = None) -> None:
        self._make_store = make_store
        self._chores = chores
        self._name = name
        self._closed = False
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._store = self._make_store()

    # --- Callers ------------------------------------------------------------------------------------

    async def run(
        self,
        function: Function[T],
        *,
        undo: Undo[T] | None = None,
    ) -> T:
        """Run `function` in the thread and return its result.

        Cancelled before it began, it does not run. Cancelled later, `undo` is run with its result,
        in a transaction.

        Raises:
            QueueClosed: The thread was closed.
            DriverError: The database refused; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        call = _Call(function, undo=undo, wake=lambda: loop.call_soon_threadsafe(_resolve, done))
        self._submit(call)
        try:
            await done
        except asyncio.CancelledError:
            if call.abandon():
                self._submit_undo(call)
            raise
        return call.outcome()

    def run_blocking(self, function: Function[T]) -> T:
        """Do as `run` does, from any thread, and block it meanwhile."""
        done = threading.Event()
        call = _Call(function, wake=done.set)
        self._submit(call)
        done.wait()
        return call.outcome()

    def _submit(self, call: _Call[Any]) -> None:
        with self._lock:
            if self._closed:
                raise QueueClosed("this SQLQueue was closed; make a new one to go on")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_serve, args=(self._calls, self._store, self._ended, self._chores)
                )
                self._thread.daemon = True
                self._thread.name = self._name
                self._thread.start()
            self._calls.put(call)

    def _submit_undo(self, call: _Call[Any]) -> None:
        undo = call.undo
        if undo is None or call.error is not None:
            return
        try:
            self._submit(_Call(lambda store: store.run(lambda link: undo(link, call.outcome()), Mode.ATOMIC)))
        except QueueClosed:
            _log.warning("the queue was closed under a cancelled call; what it had reserved will expire")

    # --- The end ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the thread once it has done what was asked of it before. Does not wait."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if self._thread is None:
                    self._ended.set()
                else:
                    self._calls.put(None)

    async def close(self) -> None:
        """End the thread and wait until its connection is closed."""
        self.stop()
        if not self._ended.is_set():
            await asyncio.to_thread(self._wait)

    def close_blocking(self) -> None:
        """Do as `close` does, from any thread, and block it meanwhile."""
        self.stop()
        self._wait()

    def _wait(self) -> None:
        """Give what runs a moment; then end what it waits for, so that a silent server holds nobody up."""
        if self._ended.wait(PATIENCE):
            return
        self._store.interrupt()
        if not self._ended.wait(PATIENCE):
            _log.warning("%s is still busy and is left behind; the process can end without it", self._name)

    def poke(self) -> None:
        """Let the thread look at its chores soon."""
        with suppress(QueueClosed):
            self._submit(_Call(_nothing))


def _serve(calls: SimpleQueue[_Call[Any] | None], store: Store, ended: threading.Event, chores: Chores | None) -> None:
    """The thread's body. It holds no reference to its `OwnerThread`, so that one can be collected."""
    until_chores: float | None = None
    try:
        while True:
            try:
                call = calls.get(timeout=until_chores)
            except Empty:
                pass
            else:
                if call is None:
                    break
                call.run(store)
                del call  # do not keep a result alive while waiting for the next call
            until_chores = None if chores is None else chores.do(store)
        if chores is not None:
            chores.finish(store)
    finally:
        try:
            store.close()
        except Exception:
            _log.warning("could not close the connection", exc_info=True)
        ended.set()


def _nothing(store: Store) -> None:
    return None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# --- Fork -----------------------------------------------------------------------------------------

_all: weakref.WeakSet[OwnerThread] = weakref.WeakSet()
_parents: list[Link | None] = []
"""Connections that a fork copied. Closing them here would tamper with the parent's files."""


def _after_fork_in_child() -> None:
    for owner in list(_all):
        _parents.append(owner._store.abandon())
        owner._reset()
        if owner._chores is not None:
            owner._chores.reset()
        if owner._closed:
            owner._ended.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
