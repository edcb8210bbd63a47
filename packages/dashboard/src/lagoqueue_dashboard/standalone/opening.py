"""Where the command line's dashboard gets its inspector: from a URL, or from the user's own module."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from typing import Any, TypeGuard

import click

from lagoqueue._target import load_target
from lagoqueue.monitor import Inspector

GROUP = "lagoqueue.inspectors"
"""Where drivers name the schemes of the URLs that they open, each with a function `(url, *, table)` that returns an
async context manager of an `Inspector`."""

_METHODS = ("stats", "pending", "failed", "retry", "forget", "flush_failed")


def open_url(url: str, table: str) -> AbstractAsyncContextManager[Inspector]:
    """Return what opens the inspector of a URL. No message repeats the URL: it may hold a password.

    Raises:
        click.UsageError: The text is no URL, or no driver for it is installed.
        click.ClickException: Its driver cannot be loaded.
    """
    found = re.match(r"([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?:", url.lower())
    if found is None:
        raise click.UsageError("--url is no URL, such as sqlite:///jobs.db or postgresql://user@host/database")
    drivers = {each.name: each for each in entry_points(group=GROUP)}
    driver = drivers.get(found[1])
    if driver is None:
        known = ", ".join(sorted(drivers))
        raise click.UsageError(
            f"no driver that is installed opens {found[1]}: URLs. "
            + (
                f"These are opened: {known}"
                if known
                else "For SQLite, PostgreSQL, MySQL and MariaDB: pip install lagoqueue-sql"
            )
        )
    try:
        opener: Callable[..., AbstractAsyncContextManager[Inspector]] = driver.load()
    except Exception as error:
        raise click.ClickException(
            f"the driver {driver.value} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return opener(url, table=table)


@asynccontextmanager
async def open_target(target: str) -> AsyncIterator[Inspector]:
    """Give the inspector that MODULE:ATTRIBUTE names, or that the function there returns or opens.

    Raises:
        click.UsageError: It names something else, or nothing.
    """
    found: Any = load_target(target, "shop.jobs:inspector")
    if not _is_inspector(found) and callable(found):
        found = found()
    if inspect.isawaitable(found):
        found = await found
    if _is_inspector(found):
        yield found
    elif isinstance(found, AbstractAsyncContextManager):
        async with found as entered:
            yield _inspector(target, entered)
    else:
        yield _inspector(target, found)


def _inspector(target: str, found: object) -> Inspector:
    if not _is_inspector(found):
        raise click.UsageError(
            f"{target} gives a {type(found).__name__}, and not an Inspector such as SQLInspector(queue), "
            "or a function that returns or opens one"
        )
    return found


def _is_inspector(found: object) -> TypeGuard[Inspector]:
    return not isinstance(found, type) and all(callable(getattr(found, name, None)) for name in _METHODS)
