"""`Actions`: what a viewer can do to failed jobs, each told to the audit hook."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, InvalidValue, ReadOnly
from lagoqueue.monitor import FailedFilter, FailedJobs
from lagoqueue_dashboard.guarding.access import Viewer
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.reading import Reader

TIMEOUT = 10.0
"""Seconds that one call of the inspector may take."""

TURN = 3.0
"""Seconds after which an action on many jobs shows how far it is."""

Many = Literal["retry", "forget"]

T = TypeVar("T")

_Work = Callable[["_Count"], Awaitable[None]]
"""Does an action, and counts what it has done so far."""

_log = logging.getLogger("lagoqueue.dashboard")


class Done(msgspec.Struct, frozen=True):
    """What an action did.

    Attributes:
        done: Jobs that it retried or dropped.
        skipped: Jobs whose retry was refused, because one with that id is live.
        gone: Selected ids under which nothing was kept any more.
        next: Where to go on; None at the end.
    """

    done: int = 0
    skipped: int = 0
    gone: int = 0
    next: str | None = None


class Action(msgspec.Struct, frozen=True):
    """What was done through the dashboard, for the audit hook.

    Attributes:
        action: "retry", "forget" or "flush".
        viewer: Who did it: the name that `authorize` gave, or "".
        done: What it did, as far as that is known.
        certain: False where the store had trouble, so that more may have been done than is known.
        ids: The jobs that were meant by their ids; () when by a filter.
        filter: The filter by which jobs were meant; None when by ids, and for a flush.
    """

    action: str
    viewer: str
    done: Done
    certain: bool = True
    ids: tuple[str, ...] = ()
    filter: FailedFilter | None = None


OnAction = Callable[[Action], Any]
"""Called after each action; may return an awaitable. What it raises is logged: the action is done already."""


class _Uncertain(Refused):
    """It is not known whether an action worked."""


class _Count:
    """What an action has done so far; its attributes are those of `Done`."""

    def __init__(self) -> None:
        self.done = self.skipped = self.gone = 0
        self.next: str | None = None

    def result(self) -> Done:
        return Done(self.done, self.skipped, self.gone, self.next)


class Actions:
    """Retries and drops failed jobs.

    An action goes on when its viewer leaves: the audit hook must hear of all that was done.

    Args:
        reader: Whose inspector acts, and which reads anew afterwards.
        on_action: The audit hook.
    """

    def __init__(self, reader: Reader, on_action: OnAction | None) -> None:
        self._reader = reader
        self._on_action = on_action
        self._under_way: set[asyncio.Task[Done]] = set()

    async def one(self, action: Many, job_id: str, viewer: Viewer) -> Done:
        """Retry or drop one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
            Refused: It did not work, or it is not known whether it did.
        """

        async def work(count: _Count) -> None:
            await self._call(self._single(action, job_id))
            count.done = 1

        return await self._finished(work, Action(action, viewer.name, Done(), ids=(job_id,)))

    async def selected(self, action: Many, ids: tuple[str, ...], viewer: Viewer) -> Done:
        """Retry or drop the failed jobs with these ids; those that are gone already are counted.

        Raises:
            Refused: It did not work, or it is not known whether it did.
        """

        async def at_once(count: _Count) -> None:
            meant = FailedFilter(ids=ids)
            await self._turn(action, meant, count)
            while count.next is not None:
                await self._turn(action, meant, count, count.next)
            count.gone = len(ids) - count.done - count.skipped

        async def one_by_one(count: _Count) -> None:
            for job_id in ids:
                try:
                    await self._call(self._single(action, job_id))
                    count.done += 1
                except FailedJobNotFound:
                    count.gone += 1
                except DuplicateJob:
                    count.skipped += 1

        work = one_by_one if self._store() is None else at_once
        return await self._finished(work, Action(action, viewer.name, Done(), ids=ids))

    async def matching(self, action: Many, meant: FailedFilter, after: str | None, viewer: Viewer) -> Done:
        """Retry or drop the failed jobs that a filter means, as many as a few seconds allow.

        Raises:
            InvalidValue: `after` is not the `next` of such an action.
            Refused: It did not work, or it is not known whether it did.
        """
        if self._store() is None:
            raise InvalidValue("this inspector cannot act on all that match: select the jobs that are meant")

        async def work(count: _Count) -> None:
            await self._turn(action, meant, count, after)

        return await self._finished(work, Action(action, viewer.name, Done(), filter=meant))

    async def flush(self, after: str | None, viewer: Viewer) -> Done:
        """Drop every failed job, or as many as a few seconds allow.

        Raises:
            InvalidValue: `after` is not the `next` of a flush.
            Refused: It did not work, or it is not known whether it did.
        """

        async def work(count: _Count) -> None:
            if self._store() is None:
                count.done = await self._call(self._reader.inspector.flush_failed())
            else:
                await self._turn("forget", FailedFilter(), count, after)

        return await self._finished(work, Action("flush", viewer.name, Done()))

    # --- Doing it -------------------------------------------------------------------------------------

    def _store(self) -> FailedJobs | None:
        detailed = self._reader.detailed
        return None if detailed is None else detailed.failed_jobs

    def _single(self, action: Many, job_id: str) -> Awaitable[None]:
        inspector = self._reader.inspector
        return inspector.retry(job_id) if action == "retry" else inspector.forget(job_id)

    async def _turn(self, action: Many, meant: FailedFilter, count: _Count, after: str | None = None) -> None:
        """Act on what a filter means until all is done or the turn is over."""
        store = self._store()
        assert store is not None
        many = store.retry_many if action == "retry" else store.forget_many
        began = time.monotonic()
        count.next = after
        while True:
            result = await self._call(many(meant, after=count.next))
            count.done, count.skipped, count.next = (
                count.done + result.done,
                count.skipped + len(result.skipped),
                result.next,
            )
            if count.next is None or time.monotonic() - began > TURN:
                return

    async def _finished(self, work: _Work, action: Action) -> Done:
        """Do an action and tell of it, to the end also when whoever waits for it is cancelled."""
        task = asyncio.get_running_loop().create_task(self._accounted(work, action))
        self._under_way.add(task)  # a loop holds its tasks by a weak reference only
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Done]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # is logged already, and perhaps nobody waits for it any more

    async def _accounted(self, work: _Work, action: Action) -> Done:
        count = _Count()
        try:
            await work(count)
        except _Uncertain:
            await self._tell(msgspec.structs.replace(action, done=count.result(), certain=False))
            raise
        done = count.result()
        await self._tell(msgspec.structs.replace(action, done=done))
        return done

    async def _call(self, call: Awaitable[T]) -> T:
        """Await a call of the inspector for so long and no longer."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await call
        except (FailedJobNotFound, DuplicateJob, InvalidValue):
            raise
        except ReadOnly as error:
            raise Refused(409, "There is no failed-jobs store", f"{error}. Nothing was done.") from None
        except Exception as error:
            _log.warning("an action on failed jobs did not end well", exc_info=error)
            reason = f"no answer within {TIMEOUT:g} s" if isinstance(error, TimeoutError) else type(error).__name__
            raise _Uncertain(
                503,
                "It is not known whether that worked",
                f"The failed-jobs store had trouble: {reason}. Look at the list before you try again.",
            ) from None
        finally:
            self._reader.forget()

    async def _tell(self, action: Action) -> None:
        done = action.done
        _log.info(  # the name may be whatever somebody typed: %r keeps it on its line
            "%s by %r: %d done, %d skipped, %d gone%s",
            *(action.action, action.viewer, done.done, done.skipped, done.gone),
            "" if action.certain else ", and perhaps more",
        )
        if self._on_action is not None:
            try:
                result = self._on_action(action)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                _log.exception("on_action failed for %r", action)
