"""`Results`: everything that one run of the benchmarks found, and where; kept as JSON, all rounds included."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from harness.processes import ROOT
from harness.tables import Table

LATEST = ROOT / "results" / "latest.json"
PACKAGES = ("lagoqueue-core", "lagoqueue-sql", "msgspec", "SQLAlchemy", "psycopg", "PyMySQL", "pytest-benchmark")


@dataclass
class Results:
    """What one run found.

    Attributes:
        date: When it ended, in UTC.
        words: What the command was given.
        machine: What it ran on, and the versions of everything.
        tables: In the order in which they were measured.
    """

    date: str
    words: list[str]
    machine: dict[str, str]
    tables: list[Table]

    def save(self, path: Path) -> None:
        """Write them to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))

    def table(self, *keys: str) -> Table | None:
        """Return the first table of these that was measured."""
        return next((table for key in keys for table in self.tables if table.key == key), None)


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def now() -> str:
    """Return the present date and time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine() -> dict[str, str]:
    """Return what this machine is, and which versions are on it."""
    processor = _first(Path("/proc/cpuinfo"), r"model name\s*: (.*)") or platform.machine()
    return {
        "Processor": f"{os.cpu_count()} x {processor}",
        "Memory": _first(Path("/proc/meminfo"), r"MemTotal:\s*(.*)"),
        "System": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "Packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def _first(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return found[1].strip() if found else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(none)"
