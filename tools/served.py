"""`Served`: an application on a port of this machine, in the event loop of whoever asks for it."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Any, Self

from hypercorn.asyncio import serve
from hypercorn.config import Config

from servers import free_port


class Served:
    """Serves an ASGI application over HTTP; a context manager. It can go away and come back at the same address.

    Args:
        app: The application.

    Attributes:
        address: Such as "http://127.0.0.1:20123".
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._port = free_port()
        self._ended = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen; a request that comes from now on is answered."""
        config = Config()
        config.bind = [f"fd://{socket.create_server(('127.0.0.1', self._port)).detach()}"]
        config.loglevel = "WARNING"
        config.graceful_timeout = 1.0
        self._ended.clear()
        self._serving = asyncio.create_task(serve(self._app, config, shutdown_trigger=self._ended.wait))

    async def stop(self) -> None:
        """Refuse connections until `start`."""
        self._ended.set()
        if self._serving is not None:
            await self._serving
        self._serving = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
