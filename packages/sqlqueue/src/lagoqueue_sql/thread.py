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
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from lagoqueue.errors import QueueClosed
from lagoqueue_sql.store import Store

T = TypeVar("T")
Function = Callable[[sa.Connection], T]

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
        write: bool,
        checked: bool = True,
        undo: Callable[[sa.Connection, T], object] | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.function = function
        self.write = write
        self.checked = checked
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
            self._result = store.run(self.function, write=self.write, checked=self.checked)
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
            store.run(lambda connection: undo(connection, result), write=True)
        except Exception:
            _log.warning("could not give back what a cancelled call had reserved; it will expire", exc_info=True)

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # set whenever there is no error


class OwnerThread:
    """Runs functions on a store one after another, in a daemon thread that starts when first needed.

    Safe from threads and from several event loops. After a fork the child starts its own thread
    with its own connection; the parent's is left untouched.
    """

    def __init__(self, make_store: Callable[[], Store], name: str) -> None:
        self._make_store = make_store
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
        write: bool = True,
        checked: bool = True,
        undo: Callable[[sa.Connection, T], object] | None = None,
    ) -> T:
        """Run `function` in a transaction of its own and return its result.

        Cancelled before it began, it does not run. Cancelled later, `undo` is run with its result.

        Raises:
            QueueClosed: The thread was closed.
            DriverError: The database refused; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        call = _Call(
            function,
            write=write,
            checked=checked,
            undo=undo,
            wake=lambda: loop.call_soon_threadsafe(_resolve, done),
        )
        self._submit(call)
        try:
            await done
        except asyncio.CancelledError:
            if call.abandon():
                self._submit_undo(call)
            raise
        return call.outcome()

    def run_blocking(self, function: Function[T], *, write: bool = True) -> T:
        """Do as `run` does, from any thread, and block it meanwhile."""
        done = threading.Event()
        call = _Call(function, write=write, wake=done.set)
        self._submit(call)
        done.wait()
        return call.outcome()

    def _submit(self, call: _Call[Any]) -> None:
        with self._lock:
            if self._closed:
                raise QueueClosed("this SQLQueue was closed; make a new one to go on")
            if self._thread is None:
                self._thread = threading.Thread(target=_serve, args=(self._calls, self._store, self._ended))
                self._thread.daemon = True
                self._thread.name = self._name
                self._thread.start()
            self._calls.put(call)

    def _submit_undo(self, call: _Call[Any]) -> None:
        undo = call.undo
        if undo is None or call.error is not None:
            return
        try:
            self._submit(_Call(lambda connection: undo(connection, call.outcome()), write=True))
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
            await asyncio.to_thread(self._ended.wait)


def _serve(calls: SimpleQueue[_Call[Any] | None], store: Store, ended: threading.Event) -> None:
    """The thread's body. It holds no reference to its `OwnerThread`, so that one can be collected."""
    try:
        while (call := calls.get()) is not None:
            call.run(store)
            del call  # do not keep a result alive while waiting for the next call
    finally:
        try:
            store.close()
        except Exception:
            _log.warning("could not close the connection", exc_info=True)
        ended.set()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# --- Fork -----------------------------------------------------------------------------------------

_all: weakref.WeakSet[OwnerThread] = weakref.WeakSet()
_parents: list[sa.Connection | None] = []
"""Connections that a fork copied. Closing them here would tamper with the parent's files."""


def _after_fork_in_child() -> None:
    for owner in list(_all):
        _parents.append(owner._store.abandon())
        owner._reset()
        if owner._closed:
            owner._ended.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
