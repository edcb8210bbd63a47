"""From what the user gave to the `Database` that it means. No message repeats a URL: it may hold a password."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from lagoqueue._time import Seconds, to_seconds
from lagoqueue.errors import InvalidValue
from lagoqueue_sql.database import Database
from lagoqueue_sql.dialects.sqlite import SQLite, Synchronous

Wakeup = Literal["notify", "poll"]


class Options(msgspec.Struct, frozen=True):
    """How to connect; None where the user said nothing. See `SQLQueue`."""

    timeout: Seconds = 10.0
    wakeup: Wakeup | None = None
    prepared_statements: bool | None = None
    synchronous: Synchronous | None = None
    busy_timeout: Seconds | None = None
    connect_args: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return "<Options>"  # what is passed to the driver's connect may hold a password


def to_url(url_or_engine: str | sa.URL | sa.Engine | AsyncEngine) -> sa.URL:
    """Return the URL that was given, or that of the engine.

    Raises:
        InvalidValue: It is none of these, or part of a password has come to stand outside of it.
    """
    if isinstance(url_or_engine, (sa.Engine, AsyncEngine)):
        return url_or_engine.url
    if isinstance(url_or_engine, sa.URL):
        return url_or_engine
    if not isinstance(url_or_engine, str):
        raise InvalidValue(
            f"SQLQueue needs a SQLAlchemy URL, Engine or AsyncEngine, not {type(url_or_engine).__name__}"
        )
    with suppress(ArgumentError, ValueError):
        url = sa.make_url(url_or_engine)
        _refuse_stray_at(url, url_or_engine)
        return url
    # Not while SQLAlchemy's error is handled, which may hold the text.
    raise InvalidValue(
        "SQLQueue needs a SQLAlchemy URL such as postgresql://user@host/database or sqlite:///jobs.db; "
        "this text is none"
    )


def _refuse_stray_at(url: sa.URL, text: str) -> None:
    """Refuse a password with an @ in it: the rest of it would be taken for the host, which messages name."""
    in_database = url.database is not None and url.database.count("@") > text.count("%40")
    if "@" in (url.host or "") or (in_database and url.get_backend_name() != "sqlite"):
        raise InvalidValue(
            "an @ in a URL ends user and password: within them, and in a database's name, write %40 for it, and %2F for a /"
        )


def to_database(url: sa.URL, options: Options) -> Database:
    """Return the database of a URL.

    Raises:
        InvalidValue: It is of another kind, its driver is missing, or an option is not for it.
    """
    timeout = to_seconds(options.timeout, "timeout", positive=True)
    connect_args = options.connect_args or {}
    if options.wakeup not in (None, "notify", "poll"):
        raise InvalidValue(f"wakeup must be 'notify' or 'poll', not {options.wakeup!r}")
    match url.get_backend_name():
        case "sqlite":
            _refuse(options, "SQLite", "prepared_statements", "connect_args")
            _refuse_notify(options, "SQLite")
            busy_timeout = 5.0 if options.busy_timeout is None else to_seconds(options.busy_timeout, "busy_timeout")
            return SQLite(url, synchronous=options.synchronous or "full", busy_timeout=busy_timeout)
        case "postgresql":
            _refuse(options, "PostgreSQL", "synchronous", "busy_timeout")
            from lagoqueue_sql.dialects.postgresql import PostgreSQL

            prepared = options.prepared_statements is not False
            own = options.wakeup != "poll"  # behind a pooler, to which one says so, others would get our settings
            return PostgreSQL(
                url, connect_args=connect_args, timeout=timeout, prepared_statements=prepared, own_session=own
            )
        case "mysql" | "mariadb":
            _refuse(options, "MySQL", "synchronous", "busy_timeout", "prepared_statements")
            _refuse_notify(options, "MySQL")
            try:
                from lagoqueue_sql.dialects.mysql import MySQL
            except ImportError as error:
                raise InvalidValue(
                    f"MySQL and MariaDB need an extra: pip install lagoqueue-sql[mysql] ({error})"
                ) from error
            return MySQL(url, connect_args=connect_args, timeout=timeout)
        case other:
            raise InvalidValue(f"lagoqueue-sql works on PostgreSQL, MySQL, MariaDB and SQLite, not on {other!r}")


def _refuse(options: Options, database: str, *names: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise InvalidValue(f"{name}= means nothing to {database}: leave it out")


def _refuse_notify(options: Options, database: str) -> None:
    if options.wakeup == "notify":
        raise InvalidValue(f"{database} cannot notify: leave wakeup= out, or say 'poll'")
