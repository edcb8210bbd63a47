"""Serves an application until the process is asked to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

_GRACE = 3.0
"""Seconds that answers which are under way have when the process is asked to end."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        OSError: The port is taken or not allowed, or this computer has no such address.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family)


async def serve_until_signal(app: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve an ASGI application over HTTP until SIGINT or SIGTERM.

    Args:
        app: The application.
        listener: Is closed in the end.
        ready: Called when a signal would end it in order.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(asked.set)

    # signal.signal and not loop.add_signal_handler, which Windows does not have.
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = _GRACE
    config.include_server_header = False
    try:
        ready()
        await serve(app, config, shutdown_trigger=asked.wait)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
