"""Has several players play on one queue, as processes or as threads, and returns the history once all has come out."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from lagoqueue.queue import Queue
from tests.faults.linearizability.history import Log, Operation, read
from tests.faults.linearizability.player import DELAYS, Deliveries, Player, drain
from tests.faults.linearizability.program import Game
from tests.faults.linearizability.trouble import Peace
from tests.sqlqueue.payloads import connect
from tests.sqlqueue.processes import PATIENCE, Process

PROGRAM = Path(__file__).with_name("program.py")

PLAYERS = 4

VISIBILITY_TIMEOUT = 0.1
"""Seconds; short, so that reservations expire while others go on."""

OVER = VISIBILITY_TIMEOUT + max(DELAYS) + 0.1
"""Seconds in which all that was delayed or reserved comes out, to somebody who waits for it."""


async def play(program: Process, game: Game) -> list[Operation]:
    """Have processes play a game, which `program` forks."""
    folder = Path(game.folder)
    async with connect(game.url, visibility_timeout=game.visibility_timeout) as queue:
        await queue.setup()
        program.tell(msgspec.json.encode(game).decode())
        statuses = [int(status) for status in (await asyncio.to_thread(program.hear)).split()]
        errors = errors_in(folder)
        assert statuses == [-signal.SIGKILL if game.dies else 0, *[0] * (game.players - 1)], errors
        assert game.broken or not errors
        await _drain(queue, folder, game.players)
    return read(folder)


def errors_in(folder: Path) -> str:
    """Return what the processes logged."""
    return "".join(path.read_text() for path in sorted(folder.glob("errors-*")))


async def play_in_threads(queue: Queue, folder: Path, seed: int, operations: int) -> list[Operation]:
    """Have threads, each with an event loop, play on a queue of this process."""
    start = threading.Barrier(PLAYERS)

    def run(number: int) -> None:
        with closing(Log(folder, number)) as log, closing(Deliveries(folder / "deliveries")) as deliveries:
            player = Player(queue, log, deliveries, random.Random(f"{seed} {number}"), Peace(), VISIBILITY_TIMEOUT)
            start.wait(PATIENCE)
            asyncio.run(player.play(operations))

    with ThreadPoolExecutor(PLAYERS) as pool:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(pool, run, number) for number in range(PLAYERS)])
    await _drain(queue, folder, PLAYERS)
    return read(folder)


async def _drain(queue: Queue, folder: Path, number: int) -> None:
    with closing(Log(folder, number)) as log:
        await drain(queue, log, OVER)
