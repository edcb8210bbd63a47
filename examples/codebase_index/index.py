"""The application's own part: what is read from a file, and the table that it goes to."""

from __future__ import annotations

import ast
import sqlite3
import tokenize
from collections import Counter
from pathlib import Path


def open_index(database: Path) -> sqlite3.Connection:
    """Open the index, which lives in the same file as the queue, and make its table."""
    connection = sqlite3.connect(database, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, lines INTEGER NOT NULL, functions INTEGER NOT NULL, "
        "classes INTEGER NOT NULL, attempts INTEGER NOT NULL)"
    )
    return connection


def index_file(connection: sqlite3.Connection, path: Path, attempts: int) -> None:
    """Read, parse and count one file, and store its row.

    Running it twice leaves one row, as a handler under at-least-once delivery should.

    Raises:
        SyntaxError, ValueError, UnicodeDecodeError, OSError: The file cannot be read or parsed.
    """
    with tokenize.open(path) as file:  # honours the file's own coding line
        source = file.read()
    kinds = Counter(type(node) for node in ast.walk(ast.parse(source, path)))
    connection.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
        (
            str(path),
            source.count("\n"),
            kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef],
            kinds[ast.ClassDef],
            attempts,
        ),
    )
