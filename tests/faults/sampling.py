"""Samples of what a soak takes and does, every few seconds, and the rule by which a figure counts as flat."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import msgspec

PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(msgspec.Struct):
    """What there was at one moment; what could not be seen then, since the server was away, is None.

    Attributes:
        at: Seconds since the beginning.
        rate: Jobs that handlers have ended since the sample before, a second.
        backlog: Jobs in the queue, also those that are not due.
        oldest: Seconds for which the oldest due job has been due.
        worker_mb: Resident memory of the worker that lives through all.
        producer_mb: Of the producer.
        worker_files: Open files and sockets of the worker.
        producer_files: Of the producer.
        worker_threads: Threads of the worker.
        sessions: Connections at the server.
    """

    at: float
    rate: float
    backlog: float | None
    oldest: float | None
    worker_mb: float
    producer_mb: float
    worker_files: float
    producer_files: float
    worker_threads: float
    sessions: float | None


class Use(NamedTuple):
    """What a process takes of its machine."""

    megabytes: float
    files: int
    threads: int


def use(pid: int) -> Use:
    """Read what a process takes from /proc."""
    process = Path("/proc") / str(pid)
    pages = int((process / "statm").read_text().split()[1])
    return Use(pages * PAGE / 1e6, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())))


class Sampler:
    """Takes a sample in a thread of its own every so many seconds, until it is left.

    Attributes:
        samples: What it has taken.
    """

    def __init__(self, take: Callable[[float], Sample], every: float) -> None:
        self.samples: list[Sample] = []
        self._take = take
        self._every = every
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while not self._ending.wait(self._every):
                self.samples.append(self._take(time.monotonic() - began))
        except BaseException as error:
            self._error = error


# --- Flat or not ----------------------------------------------------------------------------------

SHARE = 0.10
ROOM = {
    "worker_mb": 5.0,
    "producer_mb": 5.0,
    "worker_files": 3.0,
    "producer_files": 3.0,
    "worker_threads": 3.0,
    "sessions": 3.0,
}
"""What may not grow, and by how much it may beyond a tenth: the median of the last quarter over those of the first two.

The larger of these counts, since faults may close for most of a quarter what is open otherwise.
"""


def quarters(samples: Sequence[Sample], name: str) -> list[float]:
    """The median of a figure in each quarter of the samples."""
    size = len(samples) / 4
    assert size >= 1, f"{len(samples)} samples are too few"
    parts = [samples[round(number * size) : round((number + 1) * size)] for number in range(4)]
    seen = [[value for sample in part if (value := getattr(sample, name)) is not None] for part in parts]
    return [median(values) if values else 0.0 for values in seen]


def growing(samples: Sequence[Sample]) -> list[str]:
    """Say of each figure that is not flat how it has grown."""
    said: list[str] = []
    for name, room in ROOM.items():
        first, second, _, last = quarters(samples, name)
        before = max(first, second)
        if last > before * (1 + SHARE) + room:
            said.append(f"{name} has grown from {before:g} in the first half to {last:g} in the last quarter")
    return said
