# /// script
# requires-python = ">=3.11"
# dependencies = ["saq[redis]==0.26.4", "redis[hiredis]==7.4.1", "typing-extensions"]
# # the last because SAQ imports it without asking for it
# ///
"""SAQ on Redis: a blocking move of one job for each coroutine that waits."""

from __future__ import annotations

from _peer import main
from _saq import SAQ


class SAQOnRedis(SAQ):
    store = "redis"

    @property
    def url(self) -> str:
        return self.settings.redis


if __name__ == "__main__":
    main(SAQOnRedis)
