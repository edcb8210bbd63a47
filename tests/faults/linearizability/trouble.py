"""What a process does to itself, now and then, while it waits for an answer: so the outcome of that is not known."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.proxy import Proxy

SHARE = 0.08
"""Of the operations that are disturbed."""


class Peace:
    """Disturbs nothing.

    Attributes:
        happened: Whether the last operation was disturbed.
    """

    happened = False

    @asynccontextmanager
    async def around(self, marker: bytes) -> AsyncIterator[None]:
        """Disturb what is done in the block, perhaps.

        Args:
            marker: What the client sends in the midst of it.
        """
        yield


class BrokenConnections(Peace):
    """Breaks the connections of this process, by a proxy of its own, through which nobody else goes.

    What is asked next may find a connection that was broken too late, so it counts as disturbed as well.
    """

    def __init__(self, proxy: Proxy, chance: random.Random) -> None:
        self._proxy = proxy
        self._chance = chance
        self._broke = False

    @asynccontextmanager
    async def around(self, marker: bytes) -> AsyncIterator[None]:
        broke, self._broke = self._broke, False
        self.happened = broke
        if self._chance.random() >= SHARE:
            yield
            return
        way = self._chance.choice([self._idle, self._midway, self._answer, self._answer_and_server])
        try:
            async with way(marker):
                yield
        finally:
            self.happened = broke or self._broke

    @asynccontextmanager
    async def _idle(self, marker: bytes) -> AsyncIterator[None]:
        """The connection is lost before anything is asked, which is noticed only then."""
        self._broke = True
        await asyncio.to_thread(self._proxy.reset)
        yield

    @asynccontextmanager
    async def _midway(self, marker: bytes) -> AsyncIterator[None]:
        """The connection is lost at any moment."""
        self._broke = True
        resetting = asyncio.create_task(asyncio.to_thread(self._proxy.reset))
        try:
            yield
        finally:
            await resetting

    @asynccontextmanager
    async def _answer(self, marker: bytes) -> AsyncIterator[None]:
        """The server does what it was asked, and the answer is lost."""
        cut = await asyncio.to_thread(self._proxy.cut_after, marker)
        try:
            yield
        finally:
            await asyncio.to_thread(self._proxy.restore)
            self._broke = cut.is_set()

    @asynccontextmanager
    async def _answer_and_server(self, marker: bytes) -> AsyncIterator[None]:
        """The same, and then the server cannot be reached."""
        self._broke = True
        await asyncio.to_thread(self._proxy.cut_after, marker)
        await asyncio.to_thread(self._proxy.refuse)
        try:
            yield
        finally:
            await asyncio.to_thread(self._proxy.restore)


class Death(Peace):
    """Kills this process at some moment of one operation.

    Args:
        operation: Which of them, counted from 1.
        chance: Decides after which part of a few milliseconds.
    """

    LONGEST = 0.003

    def __init__(self, operation: int, chance: random.Random) -> None:
        self._left = operation
        self._wait = chance.uniform(0, self.LONGEST)

    @asynccontextmanager
    async def around(self, marker: bytes) -> AsyncIterator[None]:
        self._left -= 1
        if self._left == 0:
            threading.Thread(target=self._die, daemon=True).start()
        yield

    def _die(self) -> None:
        time.sleep(self._wait)  # the moment does not matter, but that it varies
        os.kill(os.getpid(), signal.SIGKILL)
