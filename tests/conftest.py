"""What every test run says about itself, and the databases that tests can ask for."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import lagoqueue
import servers
from run_folder import run_folder


def pytest_configure() -> None:
    """Begin the run of the servers before xdist starts its workers, so that they share it, and end it last."""
    if os.name == "posix":
        run_folder()


SERVER = re.compile(r"postgres|mariadb|mysql|psycopg|asyncpg", re.IGNORECASE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server: by the name of a fixture, of the test, or of the parameter that says which."""
    for item in items:
        if any(map(SERVER.search, [item.nodeid, *getattr(item, "fixturenames", ())])):
            item.add_marker("server")


def pytest_report_header() -> list[str]:
    """Show which builds are under test: an installed one, or the source tree."""
    return [
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"{_versions('lagoqueue-core', 'msgspec', 'lagoqueue-sql', 'SQLAlchemy', 'lagoqueue-dashboard')}",
        f"lagoqueue from {Path(lagoqueue.__file__).parent}",
    ]


def _versions(*names: str) -> str:
    found: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


# --- Databases ------------------------------------------------------------------------------------
# Where a server is missing the test is skipped, and under CI it fails: see servers.missing.


@pytest.fixture(scope="session")
def postgresql() -> servers.PostgreSQL:
    """The run's PostgreSQL, which all workers share: not to be stopped or configured."""
    return servers.shared_postgresql()


@pytest.fixture(scope="session")
def mariadb() -> servers.MariaDB:
    """The run's MariaDB, which all workers share: not to be stopped or configured."""
    return servers.shared_mariadb()


@pytest.fixture
def postgres_url(postgresql: servers.PostgreSQL) -> Iterator[str]:
    """The URL (postgresql+psycopg) of a new, empty database, dropped afterwards whoever is connected."""
    url = postgresql.create_database()
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def mariadb_url(mariadb: servers.MariaDB) -> Iterator[str]:
    """The URL (mysql+pymysql) of a new, empty database, dropped afterwards whoever is connected."""
    url = mariadb.create_database()
    yield url
    mariadb.drop_database(url)


@pytest.fixture
def own_postgresql() -> Iterator[servers.PostgreSQL]:
    """A durable PostgreSQL that this test alone has, to stop, crash and configure."""
    with servers.PostgreSQL() as server:
        yield server


@pytest.fixture
def own_mariadb() -> Iterator[servers.MariaDB]:
    """A durable MariaDB that this test alone has, to stop and kill."""
    with servers.MariaDB() as server:
        yield server
