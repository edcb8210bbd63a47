# /// script
# requires-python = ">=3.11"
# dependencies = ["saq[postgres]==0.26.4", "psycopg[binary]==3.3.9"]
# ///
"""SAQ on PostgreSQL: rows are claimed for all waiting coroutines at once, and written back one by one."""

from __future__ import annotations

from _peer import main
from _saq import SAQ


class SAQOnPostgreSQL(SAQ):
    store = "postgresql"

    @property
    def url(self) -> str:
        return self.settings.dsn

    async def settle(self) -> None:
        async with self.queue.pool.connection() as connection:
            await connection.execute("ANALYZE")


if __name__ == "__main__":
    main(SAQOnPostgreSQL)
