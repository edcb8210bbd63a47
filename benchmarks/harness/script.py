"""What the scripts of subjects share: the command line, a clock, and several processes at once."""

from __future__ import annotations

import asyncio
import inspect
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any

Settings = dict[str, Any]
Ready = Callable[[], object]


def main(*workloads: Callable[[Settings], Any]) -> None:
    """Run the workload that the command line names, a function or a coroutine function, and print its answer."""
    named = {workload.__name__: workload for workload in workloads}
    answer = named[sys.argv[1]](json.loads(sys.argv[2]))
    if inspect.iscoroutine(answer):
        answer = asyncio.run(answer)
    print(json.dumps(answer), flush=True)


@contextmanager
def beside(function: Callable[..., object], *arguments: object) -> Iterator[SpawnProcess]:
    """Run a function in another process meanwhile, which is killed at the end if it goes on."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def together(
    function: Callable[[Settings, Ready], Any], settings: Settings, processes: int, meanwhile: Callable[[], object]
) -> list[Any]:
    """Run a function in several processes, which begin the clocked part at once, and return what they returned.

    Args:
        function: Takes the settings, and what it calls when it is ready, which returns when all are.
        settings: For the function.
        processes: How many.
        meanwhile: Called again and again until all have answered.
    """
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=_one, args=(function, settings, barrier, answers), daemon=True) for _ in range(processes)
    ]
    for process in started:
        process.start()
    results: list[Any] = []
    while len(results) < processes:
        if not answers.empty():
            results.append(answers.get())
        elif any(process.exitcode for process in started):
            raise RuntimeError("one of the processes failed")
        else:
            meanwhile()
    for process in started:
        process.join()
    return results


def _one(function: Callable[[Settings, Ready], Any], settings: Settings, barrier: Any, answers: Any) -> None:
    answers.put(function(settings, lambda: barrier.wait(timeout=60)))


WARM_UP = 5
"""Jobs at the start of a latency run that are not counted: connections are made and statements prepared in them."""


def clock() -> float:
    """Return seconds by a clock that all processes of a machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
