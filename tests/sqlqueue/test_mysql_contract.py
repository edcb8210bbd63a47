"""The contract suite on MariaDB, in manual time and in the server's own."""

from __future__ import annotations

import asyncio
import unittest

import pytest

import servers
from tests.sqlqueue.on_server import InItsOwnTime, ServerContract


@pytest.mark.contract
class TestMariaDB(ServerContract, unittest.IsolatedAsyncioTestCase):
    @classmethod
    def server(cls) -> servers.MariaDB:
        return servers.shared_mariadb()

    async def advance(self, seconds: float) -> None:
        assert self.clock is not None
        end = self.clock.monotonic() + seconds
        while self.clock._step(end):  # noqa: ASYNC110 - it moves on to the next timer
            await asyncio.sleep(0.03)  # a look at the server that is under way when time goes on would see two times
        await asyncio.sleep(0.05)


@pytest.mark.slow
class TestMariaDBInItsOwnTime(InItsOwnTime, TestMariaDB):
    micros = "SELECT UNIX_TIMESTAMP(NOW(6)) * 1000000"
