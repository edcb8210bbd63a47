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
        done: What it did.
        ids: The jobs that were meant by their ids; () when by a filter.
        filter: The filter by which jobs were meant; None when by ids, and for a flush.
    """

    action: str
    viewer: str
    done: Done
    ids: tuple[str, ...] = ()
    filter: FailedFilter | None = None


OnAction = Callable[[Action], Any]
"""Called after each action; may return an awaitable. What it raises is logged: the action is done already."""


class Actions:
    """Retries and drops failed jobs.

    Args:
        reader: Whose inspector acts, and which reads anew afterwards.
        on_action: The audit hook.
    """

    def __init__(self, reader: Reader, on_action: OnAction | None) -> None:
        self._reader = reader
        self._on_action = on_action

    async def one(self, action: Many, job_id: str, viewer: Viewer) -> Done:
        """Retry or drop one failed job.

        Raises:
            FailedJobNotFound: Nothing is kept under this id.
            DuplicateJob: A job with this id is live; the record is kept.
            Refused: It did not work, or it is not known whether it did.
        """
        inspector = self._reader.inspector
        await self._call(inspector.retry(job_id) if action == "retry" else inspector.forget(job_id))
        return await self._told(Action(action, viewer.name, Done(1), ids=(job_id,)))

    async def selected(self, action: Many, ids: tuple[str, ...], viewer: Viewer) -> Done:
        """Retry or drop the failed jobs with these ids; those that are gone already are counted.

        Raises:
            Refused: It did not work, or it is not known whether it did.
        """
        store = self._store()
        if store is None:
            return await self._one_by_one(action, ids, viewer)
        many = store.retry_many if action == "retry" else store.forget_many
        result = await self._call(many(FailedFilter(ids=ids)))  # so many at most go in one call
        skipped = len(result.skipped)
        done = Done(result.done, skipped, len(ids) - result.done - skipped)
        return await self._told(Action(action, viewer.name, done, ids=ids))

    async def _one_by_one(self, action: Many, ids: tuple[str, ...], viewer: Viewer) -> Done:
        inspector = self._reader.inspector
        done = skipped = gone = 0
        for job_id in ids:
            try:
                await self._call(inspector.retry(job_id) if action == "retry" else inspector.forget(job_id))
                done += 1
            except FailedJobNotFound:
                gone += 1
            except DuplicateJob:
                skipped += 1
            except Refused:
                await self._told(Action(action, viewer.name, Done(done, skipped, gone), ids=ids))
                raise
        return await self._told(Action(action, viewer.name, Done(done, skipped, gone), ids=ids))

    async def matching(self, action: Many, meant: FailedFilter, after: str | None, viewer: Viewer) -> Done:
        """Retry or drop the failed jobs that a filter means, as many as a few seconds allow.

        Raises:
            InvalidValue: `after` is not the `next` of such an action.
            Refused: It did not work, or it is not known whether it did.
        """
        store = self._store()
        if store is None:
            raise InvalidValue("this inspector cannot act on all that match: select the jobs that are meant")
        many = store.retry_many if action == "retry" else store.forget_many
        done = skipped = 0
        began = time.monotonic()
        while True:
            result = await self._call(many(meant, after=after))
            done, skipped, after = done + result.done, skipped + len(result.skipped), result.next
            if after is None or time.monotonic() - began > TURN:
                break
        return await self._told(Action(action, viewer.name, Done(done, skipped, next=after), filter=meant))

    async def flush(self, viewer: Viewer) -> Done:
        """Drop every failed job.

        Raises:
            Refused: It did not work, or it is not known whether it did.
        """
        count = await self._call(self._reader.inspector.flush_failed())
        return await self._told(Action("flush", viewer.name, Done(count)))

    def _store(self) -> FailedJobs | None:
        detailed = self._reader.detailed
        return None if detailed is None else detailed.failed_jobs

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
            raise Refused(
                503,
                "It is not known whether that worked",
                f"The failed-jobs store had trouble: {reason}. Look at the list before you try again.",
            ) from None
        finally:
            self._reader.forget()

    async def _told(self, action: Action) -> Done:
        _log.info(
            "%s by %s: %d done, %d skipped, %d gone",
            *(action.action, action.viewer or "somebody"),
            *(action.done.done, action.done.skipped, action.done.gone),
        )
        if self._on_action is not None:
            try:
                result = self._on_action(action)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                _log.exception("on_action failed for %r", action)
        return action.done
