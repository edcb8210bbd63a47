"""`Stores`: an empty database for each run of a subject, on servers that are started when first asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import servers
from peers._redis import RedisMissing, flush, redis_server


class Stores:
    """The stores of one sitting; a context manager that ends the servers with it.

    The servers are durable: what they committed is on the disk. All else is as they come.
    """

    def __init__(self) -> None:
        self._started = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    @cached_property
    def postgresql_server(self) -> servers.PostgreSQL:
        """The PostgreSQL, started now if it was not."""
        return self._started.enter_context(servers.PostgreSQL(durable=True))

    @cached_property
    def mariadb_server(self) -> servers.MariaDB:
        """The MariaDB, started now if it was not.

        Raises:
            servers.ServerMissing: This machine has none.
        """
        return self._started.enter_context(servers.MariaDB(durable=True))

    @contextmanager
    def postgresql(self) -> Iterator[dict[str, Any]]:
        """Give a new database in PostgreSQL."""
        server = self.postgresql_server
        url = server.create_database()
        try:
            yield {"dsn": url.replace("postgresql+psycopg", "postgresql")}
        finally:
            server.drop_database(url)

    @contextmanager
    def mariadb(self) -> Iterator[dict[str, Any]]:
        """Give a new database in MariaDB."""
        server = self.mariadb_server
        url = server.create_database()
        try:
            yield {"dsn": url}
        finally:
            server.drop_database(url)

    @cached_property
    def redis_url(self) -> str:
        """The URL of a Redis, started now if it was not.

        Raises:
            RedisMissing: This machine has none.
        """
        return self._started.enter_context(redis_server())

    @property
    def redis_missing(self) -> str:
        """Why there is no Redis, or ""."""
        try:
            self.redis_url  # noqa: B018 - it is started now, if it can be
        except RedisMissing as missing:
            return str(missing)
        return ""

    @contextmanager
    def redis(self) -> Iterator[dict[str, Any]]:
        """Give the Redis, emptied."""
        flush(self.redis_url)
        yield {"redis": self.redis_url}

    @contextmanager
    def sqlite(self) -> Iterator[dict[str, Any]]:
        """Give the name of a file on the disk that the servers' data is on."""
        with tempfile.TemporaryDirectory() as folder:
            yield {"file": str(Path(folder) / "jobs.db")}

    def about(self) -> dict[str, str]:
        """Return the versions and settings of the servers that have been started."""
        found: dict[str, str] = {}
        if "postgresql_server" in self.__dict__:
            server = self.postgresql_server
            names = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "wal_sync_method")
            settings = ", ".join(f"{name} {server.sql(f'SHOW {name}')[0][0]}" for name in names)
            found["PostgreSQL"] = f"{server.version}; {settings}"
        if "mariadb_server" in self.__dict__:
            flush = self.mariadb_server.sql("SELECT @@innodb_flush_log_at_trx_commit")[0][0]
            found["MariaDB"] = f"{self.mariadb_server.version}; innodb_flush_log_at_trx_commit {flush}"
        return found
