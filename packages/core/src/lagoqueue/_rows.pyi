"""From the rows of a table to jobs, for drivers that keep jobs in one: a claim's whole batch in one call."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from lagoqueue.job import Job

def from_micros(micros: int) -> datetime: ...
def reserved_jobs(rows: Iterable[tuple[Any, ...]], token: str) -> list[Job]: ...
