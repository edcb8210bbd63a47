"""What every test run says about itself."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lagoqueue


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
