"""A process that has others play: `python program.py play "" {}`. Each line on stdin is a game, in JSON.

It loads all modules once and forks the players, so a game begins in some hundredths of a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import traceback
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from tests.faults.linearizability.history import Log
from tests.faults.linearizability.player import Deliveries, Player
from tests.faults.linearizability.trouble import BrokenConnections, Death, Peace
from tests.proxy import Proxy
from tests.sqlqueue.payloads import connect

CLAIM_MARKERS = {"sqlite": b"", "postgresql": b'"f":', "mysql": b"COMMIT"}
"""What a driver sends in the midst of a claim: where it is one statement, a part of that; else what ends it."""

SETTINGS: dict[str, dict[str, Any]] = {"mysql": {"connect_args": {"ssl_disabled": True}}}
"""PyMySQL reads all certificates that the system trusts for each connection, which takes longer than a connection lives here."""


class Game(msgspec.Struct, frozen=True):
    """What the players are told.

    Attributes:
        url: Of the database.
        folder: Where histories and deliveries go, and what the players log.
        seed: For the choices of all players; each makes others.
        players: How many processes.
        operations: How many things each does.
        visibility_timeout: Seconds for which a job is reserved.
        broken: They break their connections now and then.
        dies: The first of them kills itself on the way.
    """

    url: str
    folder: str
    seed: int
    players: int
    operations: int
    visibility_timeout: float
    broken: bool = False
    dies: bool = False


async def play(game: Game, number: int, ready: int, gate: int) -> None:
    """Be one of the players: say that it is ready, and begin when the gate is closed."""
    chance = random.Random(f"{game.seed} {number}")
    address = sa.make_url(game.url)
    kind = address.get_backend_name()
    settings = {"visibility_timeout": game.visibility_timeout, **SETTINGS.get(kind, {})}
    folder = Path(game.folder)
    with ExitStack() as stack:
        trouble = Peace()
        if game.broken:
            assert address.port is not None
            proxy = stack.enter_context(Proxy("127.0.0.1", address.port))
            address = address.set(port=proxy.port)
            trouble = BrokenConnections(proxy, chance)
        elif game.dies and number == 0:
            trouble = Death(chance.randrange(game.operations // 4, game.operations // 2), chance)
        async with connect(address.render_as_string(hide_password=False), **settings) as queue:
            await queue.size()  # so it is connected
            os.write(ready, b".")
            os.read(gate, 1)
            log, deliveries = Log(folder, number), Deliveries(folder / "deliveries")
            marker = CLAIM_MARKERS[kind]
            await Player(queue, log, deliveries, chance, trouble, game.visibility_timeout, marker).play(game.operations)


def run(game: Game) -> list[int]:
    """Fork the players, let them begin at once, and return how each has ended."""
    are_ready, ready = os.pipe()
    gate, start = os.pipe()
    children: list[int] = []
    for number in range(game.players):
        if (child := os.fork()) == 0:
            os.close(start)
            _be_player(game, number, ready, gate)
        children.append(child)
    os.close(ready)
    waiting = game.players
    while waiting and os.read(are_ready, 1):  # to the end, if one has died
        waiting -= 1
    for end in (start, gate, are_ready):
        os.close(end)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _be_player(game: Game, number: int, ready: int, gate: int) -> None:
    status = 1
    try:
        with (Path(game.folder) / f"errors-{number}").open("w") as errors:
            sys.stderr = errors
            logging.basicConfig(stream=errors, format="%(relativeCreated)d %(name)s %(levelname)s %(message)s")
            try:
                asyncio.run(play(game, number, ready, gate))
                status = 0
            except BaseException:
                traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    for dialect in ("mysql", "postgresql"):
        import_module(f"lagoqueue_sql.dialects.{dialect}")  # which a queue would do in each player
    print("ready", flush=True)
    for line in sys.stdin:
        print(*run(msgspec.json.decode(line, type=Game)), flush=True)
