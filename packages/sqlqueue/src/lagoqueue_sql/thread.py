"""`OwnerThread`: the one thread that owns the connection, and how coroutines have it do things.

A function is handed over through a queue, and its result comes back with `call_soon_threadsafe`:
one hop for a whole transaction, where a driver that hops for each statement pays for three. Things
that were handed over to be done together share a transaction and the hop back as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from lagoqueue.errors import QueueClosed
from lagoqueue_sql.database import Mode
from lagoqueue_sql.link import Link
from lagoqueue_sql.store import Store

T = TypeVar("T")
Item = TypeVar("Item")
Function = Callable[[Store], T]
Undo = Callable[[Link, T], object]
Together = Callable[[Store, Sequence[Item]], Sequence[T | Exception]]
"""Does several things at once, and returns what came of each, in their order."""

PATIENCE = 2.0
"""Seconds that closing waits for what runs, and again once that was interrupted."""

_log = logging.getLogger("lagoqueue.sql")


class _Call(Generic[T]):
    """A function on its way through the thread, and what came of it.

    `end` and `abandon` race when the waiting coroutine is cancelled; the lock decides, so that
    exactly one side sees both and undoes what nobody will receive.
    """

    def __init__(
        self,
        function: Function[T],
        done: asyncio.Future[None] | threading.Event | None = None,
        undo: Undo[T] | None = None,
    ) -> None:
        self.function = function
        self.asked_at = time.monotonic()
        self.done = done
        self.undo = undo
        self.error: BaseException | None = None
        self._result: T | None = None
        self._ended = False
        self._lock = threading.Lock()
        self.abandoned = False

    def run(self, store: Store, ahead: list[_Call[Any] | None]) -> None:
        """In the thread: do it, and later hand the outcome over; or undo it where nobody waits any more.

        Args:
            store: For the function.
            ahead: Where to leave what is to be done before the next call.
        """
        if self.abandoned:
            return
        try:
            abandoned = self.end(self.function(store))
        except BaseException as error:  # also SystemExit from a bug: the thread must live, the caller must know
            abandoned = self.end(error)
        if abandoned:
            self._run_undo(store)
        else:
            store.later(partial(self._deliver, ahead), urgent=True)

    def _deliver(self, ahead: list[_Call[Any] | None]) -> None:
        if not _tell([self]):
            ahead.append(_Call(self._run_undo))

    def end(self, outcome: T | BaseException) -> bool:
        """Keep the outcome, and return whether the caller has left already."""
        if isinstance(outcome, BaseException):
            self.error = outcome
        else:
            self._result = outcome
        with self._lock:
            self._ended = True
            return self.abandoned

    def abandon(self) -> bool:
        """The caller no longer waits; return whether an outcome was there already."""
        with self._lock:
            self.abandoned = True
            return self._ended

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


class _Share(_Call[T], Generic[Item, T]):
    """One of the things that are done together. What came of it stands, also when its caller leaves meanwhile."""

    def __init__(self, together: Together[Item, T], item: Item, done: asyncio.Future[None] | threading.Event) -> None:
        super().__init__(_nothing, done)
        self.together = together
        self.item = item


def _run_together(shares: Sequence[_Share[Any, Any]], store: Store) -> None:
    """In the thread: do what callers still wait for, and tell all of them at once."""
    wanted = [share for share in shares if not share.abandoned]
    if not wanted:
        return
    outcomes: Sequence[Any]
    try:
        outcomes = wanted[0].together(store, [share.item for share in wanted])
    except BaseException as error:  # as for a single call
        outcomes = [error] * len(wanted)
    for share, outcome in zip(wanted, outcomes, strict=True):
        share.end(outcome)
    _tell(wanted)


def _tell(calls: Sequence[_Call[Any]]) -> bool:
    """Wake who waits for these, each event loop once; return False when one of those was closed."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for call in calls:
        if isinstance(call.done, asyncio.Future):
            loops.setdefault(call.done.get_loop(), []).append(call.done)
        elif call.done is not None:
            call.done.set()
    told = True
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, futures)
        except RuntimeError:  # it was closed, so nobody waits there
            told = False
    return told


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
        return await self._awaited(_Call(function, asyncio.get_running_loop().create_future(), undo))

    async def run_together(self, together: Together[Item, T], item: Item) -> T:
        """Have `together` do this along with whatever else is waiting for it, and return what came of this one.

        Cancelled before it began, it is not done. Cancelled later, it is done.

        Raises:
            QueueClosed: The thread was closed.
            Exception: What `together` returned as the outcome of this, or raised.
        """
        return await self._awaited(_Share(together, item, asyncio.get_running_loop().create_future()))

    async def _awaited(self, call: _Call[T]) -> T:
        self._submit(call)
        try:
            await call.done  # type: ignore[misc]  # it was made with a future
        except asyncio.CancelledError:
            if call.abandon():
                self._submit_undo(call)
            raise
        return call.outcome()

    def run_blocking(self, function: Function[T]) -> T:
        """Do as `run` does, from any thread, and block it meanwhile."""
        return self._blocked(_Call(function, threading.Event()))

    def run_together_blocking(self, together: Together[Item, T], item: Item) -> T:
        """Do as `run_together` does, from any thread, and block it meanwhile."""
        return self._blocked(_Share(together, item, threading.Event()))

    def _blocked(self, call: _Call[T]) -> T:
        self._submit(call)
        call.done.wait()  # type: ignore[union-attr]  # it was made with an event
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
    ahead: list[_Call[Any] | None] = []  # what was taken while looking for things to do together
    try:
        while True:
            try:
                call = ahead.pop() if ahead else calls.get(timeout=until_chores)
            except Empty:
                store.asked_at = time.monotonic()
            else:
                if call is None:
                    store.catch_up()
                    break
                store.asked_at = call.asked_at
                if isinstance(call, _Share):
                    _run_together([call, *_shares_behind(call, calls, ahead)], store)
                else:
                    call.run(store, ahead)
                del call  # do not keep a result alive while waiting for the next call
            if not store.overlaps or (calls.empty() and not ahead):
                store.catch_up()
            until_chores = None if chores is None else chores.do(store)
        if chores is not None:
            chores.finish(store)
    finally:
        try:
            store.close()
        except Exception:
            _log.warning("could not close the connection", exc_info=True)
        ended.set()


def _shares_behind(
    first: _Share[Any, Any], calls: SimpleQueue[_Call[Any] | None], ahead: list[_Call[Any] | None]
) -> list[_Share[Any, Any]]:
    """Take what waits right behind a share and can be done together with it; leave in `ahead` what cannot."""
    shares: list[_Share[Any, Any]] = []
    with suppress(Empty):
        while not ahead:
            call = calls.get_nowait()
            if isinstance(call, _Share) and call.together == first.together:
                shares.append(call)
            else:
                ahead.append(call)
    return shares


def _nothing(store: Store) -> Any:
    return None


def _resolve(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
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
