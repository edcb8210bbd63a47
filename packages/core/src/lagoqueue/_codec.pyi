"""The two ends of a job's way, each in one call: payload to `Job`, and `Job` to handler and payload."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, final

from lagoqueue.job import Job

E = TypeVar("E")

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
class HandlerTable(Generic[E]):
    def add(self, name: str, entry: E, payload_type: Any) -> None: ...
    def open(self, job: Job) -> tuple[E, Any]: ...
    def names(self) -> list[str]: ...
    def __contains__(self, name: object) -> bool: ...
    def __len__(self) -> int: ...
