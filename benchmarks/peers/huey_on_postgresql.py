# /// script
# requires-python = ">=3.11"
# dependencies = ["huey==3.5.4", "psycopg[binary]==3.3.9"]
# ///
"""Huey on PostgreSQL: DELETE ... RETURNING, one job at a time, and LISTEN."""

from __future__ import annotations

from huey import Huey, PostgresHuey

from _huey import HueyPeer
from _peer import main


class HueyOnPostgreSQL(HueyPeer):
    store = "postgresql"

    def huey(self) -> Huey:
        return PostgresHuey(dsn=self.settings.dsn)

    async def settle(self) -> None:
        self.app.storage.conn.execute("ANALYZE")


if __name__ == "__main__":
    main(HueyOnPostgreSQL)
