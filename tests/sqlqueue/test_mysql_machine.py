"""Random histories on MariaDB, every answer compared with the model's."""

from __future__ import annotations

import pytest
from hypothesis import settings

import servers
from tests.sqlqueue.on_server import ServerMachine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class MariaDBMachine(ServerMachine):
    @classmethod
    def server(cls) -> servers.MariaDB:
        return servers.shared_mariadb()


TestMariaDB = MariaDBMachine.TestCase
TestMariaDB.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
