"""The connections and sessions through which the tests push: each kind that `SQLQueue.within` takes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import django
import psycopg
import psycopg.rows
import psycopg2  # type: ignore[import-untyped]
import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa
from django.conf import settings
from django.db.utils import ConnectionHandler
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

if not settings.configured:
    settings.configure()
    django.setup()


@dataclass
class Caller:
    """A caller with a transaction: what it gives to `within`, and how it ends."""

    handle: Any
    commit: Callable[[], Any]
    rollback: Callable[[], Any]
    execute: Callable[[str], Any]
    """Runs a statement in the transaction and returns the first column of its first row."""


@dataclass
class AsyncCaller:
    handle: Any
    commit: Callable[[], Awaitable[Any]]
    rollback: Callable[[], Awaitable[Any]]
    execute: Callable[[str], Awaitable[Any]]


# --- SQLAlchemy -----------------------------------------------------------------------------------


def _engine(url: str, driver: str) -> sa.Engine:
    return sa.create_engine(sa.make_url(url).set(drivername=driver), poolclass=sa.NullPool)


def _scalar(handle: Any) -> Callable[[str], Any]:
    return lambda statement: handle.execute(sa.text(statement)).scalar()


@contextmanager
def session(url: str, driver: str) -> Iterator[Caller]:
    with Session(_engine(url, driver)) as handle:
        yield Caller(handle, handle.commit, handle.rollback, _scalar(handle))


@contextmanager
def scoped(url: str, driver: str) -> Iterator[Caller]:
    handle = scoped_session(sessionmaker(_engine(url, driver)))
    yield Caller(handle, handle.commit, handle.rollback, _scalar(handle))
    handle.remove()


@contextmanager
def connection(url: str, driver: str) -> Iterator[Caller]:
    with _engine(url, driver).connect() as handle:
        yield Caller(handle, handle.commit, handle.rollback, _scalar(handle))


def _async_scalar(handle: Any) -> Callable[[str], Awaitable[Any]]:
    async def execute(statement: str) -> Any:
        return (await handle.execute(sa.text(statement))).scalar()

    return execute


@asynccontextmanager
async def async_session(url: str, driver: str) -> AsyncIterator[AsyncCaller]:
    engine = create_async_engine(sa.make_url(url).set(drivername=driver), poolclass=sa.NullPool)
    async with AsyncSession(engine) as handle:
        yield AsyncCaller(handle, handle.commit, handle.rollback, _async_scalar(handle))


@asynccontextmanager
async def async_scoped(url: str, driver: str) -> AsyncIterator[AsyncCaller]:
    engine = create_async_engine(sa.make_url(url).set(drivername=driver), poolclass=sa.NullPool)
    handle = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
    yield AsyncCaller(handle, handle.commit, handle.rollback, _async_scalar(handle))
    await handle.remove()


@asynccontextmanager
async def async_connection(url: str, driver: str) -> AsyncIterator[AsyncCaller]:
    engine = create_async_engine(sa.make_url(url).set(drivername=driver), poolclass=sa.NullPool)
    async with engine.connect() as handle:
        yield AsyncCaller(handle, handle.commit, handle.rollback, _async_scalar(handle))


# --- Drivers --------------------------------------------------------------------------------------


def _libpq(url: str) -> str:
    return url.replace("+psycopg", "")


def _cursor(handle: Any) -> Callable[[str], Any]:
    def execute(statement: str) -> Any:
        cursor = handle.cursor()
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else (None,)
        cursor.close()
        return next(iter(row.values())) if isinstance(row, dict) else row[0]

    return execute


def _driver(handle: Any) -> Iterator[Caller]:
    yield Caller(handle, handle.commit, handle.rollback, _cursor(handle))
    handle.close()


@contextmanager
def raw_sqlite3(url: str, driver: str) -> Iterator[Caller]:
    handle = sqlite3.connect(url.removeprefix("sqlite:///"))
    handle.row_factory = lambda cursor, row: {"only": row[0]}
    yield from _driver(handle)


@contextmanager
def raw_psycopg(url: str, driver: str) -> Iterator[Caller]:
    handle: Any = psycopg.connect(_libpq(url))
    handle.row_factory = psycopg.rows.dict_row
    yield from _driver(handle)


@contextmanager
def raw_psycopg2(url: str, driver: str) -> Iterator[Caller]:
    yield from _driver(psycopg2.connect(_libpq(url)))


@contextmanager
def raw_pymysql(url: str, driver: str) -> Iterator[Caller]:
    parts = sa.make_url(url)
    yield from _driver(
        pymysql.connect(
            host=parts.host,
            port=parts.port or 0,
            user=parts.username,
            database=parts.database,
            cursorclass=pymysql.cursors.DictCursor,
        )
    )


@asynccontextmanager
async def raw_async_psycopg(url: str, driver: str) -> AsyncIterator[AsyncCaller]:
    async with await psycopg.AsyncConnection.connect(_libpq(url)) as connection:
        handle: Any = connection
        handle.row_factory = psycopg.rows.dict_row

        async def execute(statement: Any) -> Any:
            cursor = await handle.execute(statement)
            row = await cursor.fetchone() if cursor.description else {"only": None}
            assert row is not None
            return next(iter(row.values()))

        yield AsyncCaller(handle, handle.commit, handle.rollback, execute)


@contextmanager
def django_connection(url: str, engine: str) -> Iterator[Caller]:
    parts = sa.make_url(url)
    database: dict[str, Any] = {"ENGINE": f"django.db.backends.{engine}", "NAME": parts.database}
    if parts.host:
        database |= {"HOST": parts.host, "PORT": parts.port, "USER": parts.username}
    handle = ConnectionHandler({"default": database})["default"]
    handle.set_autocommit(False)
    yield Caller(handle, handle.commit, handle.rollback, _cursor(handle))
    handle.close()


# --- All ------------------------------------------------------------------------------------------

Kind = tuple[str, Callable[[str, str], Any], str]
"""The fixture with the database's URL, what opens the connection, and its driver."""

SYNC: dict[str, Kind] = {
    "Session-pysqlite": ("url", session, "sqlite+pysqlite"),
    "scoped_session-pysqlite": ("url", scoped, "sqlite+pysqlite"),
    "Connection-pysqlite": ("url", connection, "sqlite+pysqlite"),
    "sqlite3": ("url", raw_sqlite3, ""),
    "django-sqlite3": ("url", django_connection, "sqlite3"),
    "Session-psycopg": ("postgres_url", session, "postgresql+psycopg"),
    "scoped_session-psycopg2": ("postgres_url", scoped, "postgresql+psycopg2"),
    "Connection-psycopg2": ("postgres_url", connection, "postgresql+psycopg2"),
    "psycopg": ("postgres_url", raw_psycopg, ""),
    "psycopg2": ("postgres_url", raw_psycopg2, ""),
    "django-postgresql": ("postgres_url", django_connection, "postgresql"),
    "Session-pymysql": ("mariadb_url", session, "mysql+pymysql"),
    "Connection-pymysql": ("mariadb_url", connection, "mysql+pymysql"),
    "pymysql": ("mariadb_url", raw_pymysql, ""),
}

ASYNC: dict[str, Kind] = {
    "AsyncSession-aiosqlite": ("url", async_session, "sqlite+aiosqlite"),
    "async_scoped_session-aiosqlite": ("url", async_scoped, "sqlite+aiosqlite"),
    "AsyncConnection-aiosqlite": ("url", async_connection, "sqlite+aiosqlite"),
    "AsyncSession-asyncpg": ("postgres_url", async_session, "postgresql+asyncpg"),
    "AsyncConnection-asyncpg": ("postgres_url", async_connection, "postgresql+asyncpg"),
    "async_scoped_session-psycopg": ("postgres_url", async_scoped, "postgresql+psycopg"),
    "psycopg-AsyncConnection": ("postgres_url", raw_async_psycopg, ""),
    "AsyncSession-asyncmy": ("mariadb_url", async_session, "mysql+asyncmy"),
    "AsyncConnection-asyncmy": ("mariadb_url", async_connection, "mysql+asyncmy"),
}
