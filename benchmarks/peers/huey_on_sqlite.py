# /// script
# requires-python = ">=3.11"
# dependencies = ["huey==3.5.4"]
# ///
"""Huey on SQLite, with its default journal (WAL, synchronous=FULL); looks for jobs every 0.1 s or, after a while, less often."""

from __future__ import annotations

from huey import Huey, SqliteHuey

from _huey import HueyPeer
from _peer import main


class HueyOnSQLite(HueyPeer):
    store = "sqlite"

    def huey(self) -> Huey:
        return SqliteHuey(filename=self.settings.file)


if __name__ == "__main__":
    main(HueyOnSQLite)
