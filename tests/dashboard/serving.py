"""Servers on loopback, in the event loop of a test: Hypercorn, uvicorn, and a reverse proxy that takes a prefix off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "trailer", "upgrade", "content-length"}


def _listen() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def on_hypercorn(app: Any, root_path: str = "") -> AsyncIterator[str]:
    """Serve an application and give its address."""
    listener, url = _listen()
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.root_path = root_path
    config.loglevel = "ERROR"
    config.graceful_timeout = 0.1
    end = asyncio.Event()
    server = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=end.wait))
    try:
        yield url
    finally:
        end.set()
        await asyncio.wait_for(server, 10)


@asynccontextmanager
async def on_uvicorn(app: Any, root_path: str = "") -> AsyncIterator[str]:
    """Serve an application and give its address."""
    listener, url = _listen()
    config = uvicorn.Config(
        app, root_path=root_path, lifespan="off", log_level="error", timeout_graceful_shutdown=1, proxy_headers=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield url
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
        listener.close()


@asynccontextmanager
async def behind_proxy(
    backend: str, prefix: str, headers: Mapping[str, str] | None = None, *, strip: bool = True
) -> AsyncIterator[str]:
    """Serve a reverse proxy that passes on what begins with the prefix, and give its address.

    Args:
        backend: The address that it relays to.
        prefix: What it takes off the path.
        headers: What it sets in each request.
        strip: Whether it does take it off.
    """
    async with httpx.AsyncClient(base_url=backend, timeout=10) as client:

        async def relay(scope: Any, receive: Any, send: Any) -> None:
            request = Request(scope, receive)
            path = scope["raw_path"].decode("ascii").partition("?")[0]
            if not path.startswith(f"{prefix}/"):
                await Response("not the proxy's", 404)(scope, receive, send)
                return
            passed = [(name, value) for name, value in request.headers.items() if name not in _HOP_BY_HOP]
            passed = [
                (name, value) for name, value in passed if name.lower() not in {key.lower() for key in headers or {}}
            ]
            query = scope["query_string"].decode("ascii")
            answer = await client.request(
                request.method,
                (path.removeprefix(prefix) if strip else path) + (f"?{query}" if query else ""),
                headers=[*passed, *(headers or {}).items()],
                content=await request.body(),
            )
            response = Response(answer.content, answer.status_code)
            response.raw_headers = [
                (name.lower(), value) for name, value in answer.headers.raw if name.lower().decode() not in _HOP_BY_HOP
            ]
            await response(scope, receive, send)

        async with on_uvicorn(relay) as url:
            yield url
