"""What runs here: the job of the handler that this is, and how a driver tells that it has been completed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from lagoqueue.job import Job


class Running(Protocol):
    """The part of a worker's `Delivery` that is of use down here."""

    job: Job
    started: float
    completing: bool
    completed: bool


running: ContextVar[Running] = ContextVar("lagoqueue_running")
"""Set by the worker around a handler; what the handler starts inherits it."""


def current_job() -> Job:
    """Return the job whose handler is running; its `receipt` is a fencing token.

    Works in async handlers, in the threads of sync ones, and in what they start.

    Raises:
        LookupError: Called outside a handler.
    """
    try:
        return running.get().job
    except LookupError:
        raise LookupError("current_job() was called outside a handler: no job is running here") from None


@contextmanager
def completing(job: Job) -> Iterator[None]:
    """For drivers: put it around what takes `job` off the queue in its handler's own transaction, the commit included.

    When the block ends, the job is done. Its worker then settles nothing, keeps no reservation alive,
    and reports the job as processed, however the handler ends. When the block raises, nothing was
    done, and the job goes on as any other; so wait for a commit that was sent, even when cancelled.

    It has to be entered before the commit, and not merely told of it afterwards, because the keeper
    can be the first to see the row gone: while the block is open, that does not cancel the handler.

    Works wherever `current_job` does. Elsewhere, or for another job than the current one, there is
    no worker to tell, and it does nothing.
    """
    delivery = _delivery_of(job)
    if delivery is None:
        yield
        return
    delivery.completing = True
    try:
        yield
        delivery.completed = True
    finally:
        delivery.completing = False


def seconds_running(job: Job) -> float | None:
    """For drivers: return how long the handler of `job` has run, for counting a job that it has completed.

    None outside of that handler, as `completing` does nothing there.
    """
    delivery = _delivery_of(job)
    return None if delivery is None else time.perf_counter() - delivery.started


def _delivery_of(job: Job) -> Running | None:
    delivery = running.get(None)
    if delivery is None or (delivery.job.id, delivery.job.receipt) != (job.id, job.receipt):
        return None
    return delivery
