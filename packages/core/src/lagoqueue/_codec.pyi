"""The two ends of a job's way, each in one call: payload to `Job`, and `Job` to handler and payload."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import GenericAlias
from typing import Any, Generic, TypeVar, final

from lagoqueue.job import Job
from lagoqueue.queue import Settlement

_E = TypeVar("_E")

def new_id() -> str: ...
def make_job(
    payload: object,
    payload_type: Any = None,
    queue: str = "default",
    priority: int = 0,
    headers: Mapping[str, str] | None = None,
    id: str | None = None,
    available_at: datetime | None = None,
) -> Job: ...

@final
class Delivery(Generic[_E]):
    """One delivery of a job.

    Attributes:
        job: As it was popped.
        handler: What was registered for its name; None when it could not be opened.
        payload: Decoded.
        error: What the attempt ended with; None while it has not failed.
        settlement: How the reservation is to end; None until that is decided.
        task: The slot that runs the handler now; None before and after.
        started: When the handler began, on `time.perf_counter`.
        seconds: How long it ran.
        lost: The keeper found the reservation gone.
        completing: The handler's own transaction is taking the job off the queue; see `lagoqueue.current`.
        completed: It has done so, and there is nothing left to settle.
    """

    job: Job
    handler: _E | None
    payload: Any
    error: BaseException | None
    settlement: Settlement | None
    task: asyncio.Task[None] | None
    started: float
    seconds: float
    lost: bool
    completing: bool
    completed: bool
    def __init__(self, job: Job, error: BaseException | None = None) -> None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class HandlerTable(Generic[_E]):
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def add(self, name: str, entry: _E, payload_type: Any) -> None: ...
    def open(self, delivery: Delivery[_E]) -> Delivery[_E]: ...
    def names(self) -> list[str]: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __len__(self) -> int: ...
