"""The dashboard of this run, served by this very process."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Self

from hypercorn.asyncio import serve
from hypercorn.config import Config

from lagoqueue_dashboard import dashboard, stand_alone
from lagoqueue_sql import SQLInspector, SQLQueue

_HOST = "127.0.0.1"


class Board:
    """Serves the dashboard while it is entered, to browsers on this computer.

    Args:
        queue: The queue that it shows.
        port: Where to serve it; a free port where that one is taken.
    """

    def __init__(self, queue: SQLQueue, port: int) -> None:
        self._socket = _listening(port)
        self.url = f"http://{_HOST}:{self._socket.getsockname()[1]}/queues/"
        self._app = stand_alone(dashboard(SQLInspector(queue), title="codebase index"))
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.graceful_timeout = 0.5
        config.loglevel = "WARNING"
        # With a trigger of ours: without one Hypercorn would take the signals, which are this program's.
        self._served = asyncio.create_task(serve(self._app, config, shutdown_trigger=self._stop.wait))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await self._served


def _listening(port: int) -> socket.socket:
    for wanted in (port, 0):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((_HOST, wanted))
        except OSError:
            found.close()
            if wanted == 0:
                raise
        else:
            return found
    raise AssertionError("a free port was refused")
