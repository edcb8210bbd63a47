"""`open_inspector`: from a URL to an inspector, for programs that know no driver by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lagoqueue.errors import DriverError
from lagoqueue_sql.connecting import to_url
from lagoqueue_sql.inspector import SQLInspector
from lagoqueue_sql.queue import SQLQueue


@asynccontextmanager
async def open_inspector(url: str, *, table: str = "jobs") -> AsyncIterator[SQLInspector]:
    """Look at the queue in a database, whose tables must be there already, and close it in the end.

    Args:
        url: A SQLAlchemy URL.
        table: Table of the live jobs.

    Raises:
        InvalidValue: The URL or the table's name is none, or the database or its driver is not supported.
        DriverError: There is no such SQLite file. SQLite itself would make an empty one.
    """
    async with SQLQueue(url, table=table) as queue:
        _refuse_missing_file(url)
        yield SQLInspector(queue)


def _refuse_missing_file(url: str) -> None:
    found = to_url(url)
    file = found.database or ""
    if found.get_backend_name() == "sqlite" and not file.startswith((":", "file:")) and not Path(file).is_file():
        raise DriverError(f"there is no file {file!r}: an application that uses the queue makes it by `setup`")
