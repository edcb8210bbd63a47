"""`run_until_signal`: workers as a program."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType

from lagoqueue.worker import Worker

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def run_until_signal(*workers: Worker) -> None:
    """Run workers until SIGINT or SIGTERM, let them finish what they run, and return.

    A second signal does not wait: running handlers are cancelled and their jobs released. When one
    worker ends with an error the others are stopped, and the error is raised.

    Raises:
        RuntimeError: Called outside the main thread, where Python delivers no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run_until_signal must run in the main thread; elsewhere use worker.run() and worker.stop()")
    loop = asyncio.get_running_loop()
    asked = 0

    def on_signal() -> None:
        nonlocal asked
        asked += 1
        for worker in workers:
            worker.stop(None if asked == 1 else 0)

    def from_c(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(on_signal)

    # signal.signal and not loop.add_signal_handler, which Windows does not have.
    before = {number: signal.signal(number, from_c) for number in _SIGNALS}
    try:
        await _run_all(workers)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _run_all(workers: tuple[Worker, ...]) -> None:
    runs = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        await asyncio.wait(runs, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        if not all(run.done() for run in runs):
            for worker in workers:
                worker.stop()
            await asyncio.wait(runs)
    for run in runs:
        run.result()
