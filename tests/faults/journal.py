"""What the processes of a scenario note, outside the database under test: a line an event, appended; effects are synced."""

from __future__ import annotations

import os
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path

import msgspec


class What(StrEnum):
    """What an event is about: a push, a delivery, a process, or the world around them."""

    PUSHING = "pushing"
    PUSHED = "pushed"
    DUPLICATE = "duplicate"  # a push was refused, because its id is taken
    REFUSED = "refused"  # a push, which is tried again; noted with the error
    CLAIMED = "claimed"
    BEGAN = "began"
    ENDED = "ended"  # the handler; noted with what it raised
    PROCESSED = "processed"
    RETRIED = "retried"  # noted with the delay in seconds
    RELEASED = "released"  # likewise
    FAILED = "failed"
    LOST = "lost"
    CONFLICT = "conflict"  # with another transaction; noted with the database's own name for it
    STARTED = "started"  # a process
    KILLED = "killed"
    SILENCED = "silenced"  # stopped, or cut off, so that it cannot beat
    WOKEN = "woken"
    STOPPING = "stopping"
    STOPPED = "stopped"
    AWAY = "away"  # nobody can be expected to get on from here
    BACK = "back"  # until here
    FAULT = "fault"  # one of many in a soak; noted with its name


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line.

    Attributes:
        at: Seconds on the machine's monotonic clock, which all processes share.
        what: What happened.
        pid: The process that it is about.
        job: The job's id.
        receipt: Of the delivery.
        attempts: Of the delivery.
        note: More.
        clock: What that process's own clock showed, in seconds since the epoch.
    """

    at: float
    what: What
    pid: int = 0
    job: str = ""
    receipt: str = ""
    attempts: int = 0
    note: str = ""
    clock: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.at:12.4f}", f"{self.what:<9}"]
        for name in ("pid", "attempts", "receipt", "note"):
            if value := getattr(self, name):
                parts.append(f"{name} {value}")
        return "  ".join(parts)


SYNCED = (What.PUSHED, What.ENDED)
"""A promise, and an effect: they are on the disk before anything follows from them. All else is the system's when it is noted."""


class Journal:
    """Appends to the file at `path`; what is noted outlives its process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(
        self, what: What, *, pid: int = 0, job: str = "", receipt: str = "", attempts: int = 0, note: str = ""
    ) -> None:
        event = Event(time.monotonic(), what, pid or os.getpid(), job, receipt, attempts, note, time.time())
        os.write(self._file, msgspec.json.encode(event) + b"\n")  # one write, so that nobody's line gets into another
        if what in SYNCED:
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


class Reader:
    """Reads a journal while it grows.

    Attributes:
        events: What has been noted, in that order.
        counts: How much of each kind there is among them.
        started: The processes that have begun.
        claimants: Those that have claimed a job.
        running: The jobs whose handlers have begun and not ended, with the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._decoder = msgspec.json.Decoder(Event)
        self.events: list[Event] = []
        self.counts: Counter[What] = Counter()
        self.started: set[int] = set()
        self.claimants: set[int] = set()
        self.running: dict[str, int] = {}

    def read(self) -> list[Event]:
        """Take in what is new, and return all events."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._take(self._decoder.decode(line))
        return self.events

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.counts[event.what] += 1
        match event.what:
            case What.STARTED:
                self.started.add(event.pid)
            case What.CLAIMED:
                self.claimants.add(event.pid)
            case What.BEGAN:
                self.running[event.job] = event.pid
            case What.ENDED if self.running.get(event.job) == event.pid:
                del self.running[event.job]
