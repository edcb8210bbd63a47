"""A TCP proxy that breaks connections in the ways that networks do.

    with Proxy("127.0.0.1", server.port) as proxy:
        ...  # connect to proxy.port
        proxy.half_open()

A switch is in effect when its method returns. Sockets are read only when their data can go on, so that a
pause fills the sender's buffers as a stuck network does.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

from servers import free_port

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a switch may take, and that a server may take to end a session that was cut off."""

CHUNK = 65536

WINDOW = 4096
"""Bytes of what a client has sent in which a pattern is looked for, beside what it is sending."""


class Cut(Exception):
    """The server has answered what the client will not hear about."""


class Dropped(Exception):
    """The connection has carried all that it may."""


class Cutting:
    """What is to be sent before a connection is cut, what it does not hear any more, and what then."""

    def __init__(self, pattern: re.Pattern[bytes], answer: bytes, refuse: bool) -> None:
        self.pattern = pattern
        self.answer = answer
        self.refuse = refuse
        self.done = threading.Event()


class Link:
    """A client's connection and, once it is made, the proxy's own to the server."""

    def __init__(self, client: socket.socket, *, swallowing: bool, left: int | None) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.swallowing = swallowing
        self.left = left  # bytes that it may carry yet
        self.client_gone = False
        self.seen = b""  # the end of what the client has sent since a pattern was set, which may have begun there
        self.cut: Cutting | None = None  # which the answer does


class Proxy:
    """Forwards connections to `port` of 127.0.0.1 to a server, until told otherwise, from any thread.

    Args:
        host: The server's address.
        port: The server's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy of {port}", daemon=True)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._listener: socket.socket | None = None
        self._flowing = asyncio.Event()
        self._swallowing = False
        self._latency = 0.0
        self._cutting: Cutting | None = None
        self._allowance: int | None = None
        self._dropped = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    # --- Switches ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read nothing and forward nothing, closings included; nothing is lost. New connections are accepted, and wait."""
        self._do(self._flowing.clear)

    def resume(self) -> None:
        """Undo `pause`."""
        self._do(self._flowing.set)

    def half_open(self) -> None:
        """Keep connections established, and swallow what either side sends, closings included; accept new ones likewise.

        A connection that was swallowed once stays so, also after `restore`: there is a hole in its stream.
        """
        self._do(self._swallow)

    def reset(self) -> None:
        """Reset (RST) all present connections, on both sides; new ones are forwarded."""
        self._do(self._reset_all)

    def refuse(self) -> None:
        """Refuse new connections, as a machine does where nothing listens; present ones live on."""
        self._do(self._stop_listening)

    def latency(self, seconds: float) -> None:
        """Keep each piece of data back for so long, each way: a round trip takes twice that longer."""
        self._do(lambda: setattr(self, "_latency", seconds))

    def cut_after(self, pattern: bytes, *, answer: bytes = b"", refuse: bool = False) -> threading.Event:
        """Forward the client's data up to and with a regular expression, and reset the client instead of forwarding the answer.

        It happens once, to the first connection that sends the whole of it from now on; a dot matches every byte. The
        server has answered by then, and is not disturbed: it finds that the client has closed.

        Args:
            pattern: The regular expression.
            answer: What is in the answer that is lost, where that is not the next one.
            refuse: Whether new connections are refused from then on, so that there is time to look.

        Returns:
            An event that is set when the client is reset.
        """
        cutting = Cutting(re.compile(pattern, re.DOTALL), answer, refuse)
        self._do(lambda: self._arm(cutting))
        return cutting.done

    def drop_after(self, size: int) -> None:
        """Close each connection once it has carried so many bytes, both ways together, in the middle of a message perhaps.

        Present connections are counted from now on, later ones from their beginning.
        """
        self._do(lambda: self._allow(size))

    def restore(self) -> None:
        """Undo every switch. Of clients that have gone meanwhile the server learns now, by a reset."""
        self._do(self._restore)

    @property
    def connections(self) -> int:
        """How many connections of clients are open, as far as the proxy has read."""
        return self._do(lambda: sum(not link.client_gone for link in self._links))

    @property
    def dropped(self) -> int:
        """How many connections `drop_after` has closed."""
        return self._dropped

    # --- What they do, in the loop ----------------------------------------------------------------

    def _do(self, switch: Callable[[], T]) -> T:
        async def call() -> T:
            return switch()

        return self._wait(call())

    def _wait(self, work: Awaitable[T]) -> T:
        async def call() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def _swallow(self) -> None:
        self._swallowing = True
        for link in self._links:
            link.swallowing = True

    def _arm(self, cutting: Cutting) -> None:
        self._cutting = cutting
        for link in self._links:
            link.seen = b""

    def _allow(self, size: int | None) -> None:
        self._allowance = size
        for link in self._links:
            link.left = size

    def _restore(self) -> None:
        self._swallowing = False
        self._latency = 0.0
        self._cutting = None
        self._allow(None)
        for link in [link for link in self._links if link.client_gone and link.swallowing]:
            self._reset(link)
        self._flowing.set()
        self._listen()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        _prepare(client)
        link = Link(client, swallowing=self._swallowing, left=self._allowance)
        self._links[link] = self._loop.create_task(self._serve(link))

    def _reset_all(self) -> None:
        for link in list(self._links):
            self._reset(link)

    def _reset(self, link: Link) -> None:
        self._links.pop(link).cancel()
        self._close(link.client, reset=True)
        self._close(link.server, reset=True)

    def _close(self, end: socket.socket | None, *, reset: bool = False) -> None:
        if end is None or end.fileno() < 0:
            return
        self._loop.remove_reader(end)
        self._loop.remove_writer(end)
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()

    async def _end(self) -> None:
        self._stop_listening()
        tasks = list(self._links.values())
        self._reset_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- One connection ---------------------------------------------------------------------------

    async def _serve(self, link: Link) -> None:
        failed = True
        try:
            await self._flowing.wait()
            if not link.swallowing:
                link.server = socket.socket()
                _prepare(link.server)
                await self._loop.sock_connect(link.server, self.target)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._forward(link, link.client, link.server))
                if link.server is not None:
                    ways.create_task(self._forward(link, link.server, link.client))
            failed = False
        except* OSError:
            pass  # one side was reset, or could not be reached, and the other one learns it below
        except* Cut:
            await self._cut_off(link)
            failed = False
        except* Dropped:
            self._dropped += 1
            failed = False
        finally:
            self._links.pop(link, None)
            self._close(link.client, reset=failed)
            self._close(link.server, reset=failed)

    async def _forward(self, link: Link, source: socket.socket, target: socket.socket | None) -> None:
        """Forward one direction until its end; the other one may go on."""
        while True:
            await self._flowing.wait()
            await self._readable(source)
            if not self._flowing.is_set():
                continue  # paused while it waited: the data stays where it is
            try:
                data = source.recv(CHUNK)
            except OSError:
                if not link.swallowing:
                    raise
                data = b""
            if self._latency:
                await asyncio.sleep(self._latency)
            if source is link.server and link.cut is not None and link.cut.answer in data:
                raise Cut
            if target is not None and not link.swallowing:
                if source is link.client:
                    self._watch(link, data)
                await self._send(link, target, data)
            if not data:
                if link.swallowing:  # the other side does not learn it
                    link.client_gone = link.client_gone or source is link.client
                    self._close(source)
                return

    async def _readable(self, source: socket.socket) -> None:
        """Wait for data without taking it."""
        arrived = asyncio.Event()
        self._loop.add_reader(source, arrived.set)
        try:
            await arrived.wait()
        finally:
            if source.fileno() >= 0:
                self._loop.remove_reader(source)

    async def _send(self, link: Link, target: socket.socket, data: bytes) -> None:
        part = data
        if link.left is not None:
            part = data[: link.left]
            link.left -= len(part)
        await self._loop.sock_sendall(target, part)
        if len(part) < len(data):
            raise Dropped
        if not data:
            target.shutdown(socket.SHUT_WR)

    def _watch(self, link: Link, data: bytes) -> None:
        """Mark the connection as the one to be cut when the pattern ends in this data."""
        if self._cutting is not None:
            sent = link.seen + data
            if self._cutting.pattern.search(sent):
                link.cut, self._cutting = self._cutting, None
            link.seen = sent[-WINDOW:]

    async def _cut_off(self, link: Link) -> None:
        """Reset the client; let the server find that it closed, and end the session by itself."""
        assert link.cut is not None
        assert link.server is not None
        link.client_gone = True
        if link.cut.refuse:
            self._stop_listening()
        link.cut.done.set()  # before the reset, since who is reset may look at once
        self._close(link.client, reset=True)
        link.server.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(PATIENCE):
            while await self._loop.sock_recv(link.server, CHUNK):
                pass


def _prepare(end: socket.socket) -> None:
    end.setblocking(False)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
