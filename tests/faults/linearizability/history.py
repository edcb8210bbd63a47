"""A history: what several processes asked of a queue, when, and what came of it.

Each appends to a file of its own: a line of JSON when it asks, and another when it was told. So what a
process that was killed had asked is in its file as well. Instants are of `time.monotonic_ns()`, which is one
clock for all processes of a machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

Action = Literal["push", "pop", "ack", "fail", "nack", "release", "extend"]
Outcome = Literal["done", "refused", "empty", "nothing", "drained", "unknown"]
"""What came of an operation.

done: It was done.
refused: It was not, for the job's state: the id is live, or the reservation is gone.
empty: A pop that says that no job was due.
nothing: A turn that brought no job, which is no promise that none was due.
drained: An empty pop after which no job is left at all, because the last of them had to come out in it.
unknown: The connection was lost, or the process has ended: it may be done at any later time, or never.
"""

NEVER = 1 << 62
"""Later than any instant."""


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """The line that is written before the queue is asked. A pop does not know its job yet."""

    number: int
    at: int
    action: Action
    job: str = ""
    receipt: str = ""
    delay: float = 0.0


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The line that is written when the outcome is there. A pop has got a job, a receipt and attempts."""

    number: int
    at: int
    outcome: Outcome
    job: str = ""
    receipt: str = ""
    attempts: int = 0
    disturbed: bool = False


class Operation(msgspec.Struct, frozen=True):
    """Both lines as one.

    Attributes:
        process: Whose it is.
        action: What was asked.
        invoked: When.
        returned: When the outcome was there, or `NEVER`: until then it may have been done at any time.
        outcome: What came of it.
        job: The job's id; empty for a pop that brought none.
        receipt: Of the reservation that was ended or extended, or that a pop made.
        delay: Seconds until a job is to be due.
        attempts: The popped job's.
        disturbed: The connection was broken meanwhile, so the driver may have asked the server twice.
    """

    process: int
    action: Action
    invoked: int
    returned: int
    outcome: Outcome
    job: str = ""
    receipt: str = ""
    delay: float = 0.0
    attempts: int = 0
    disturbed: bool = False

    def __str__(self) -> str:
        what = [self.action, self.job or "any job"]
        if self.receipt:
            what.append(f"receipt {self.receipt}")
        if self.delay:
            what.append(f"delay {self.delay:g} s")
        if self.attempts:
            what.append(f"attempt {self.attempts}")
        disturbed = " (disturbed)" if self.disturbed and self.outcome != "unknown" else ""
        return f"process {self.process}: {', '.join(what)} -> {self.outcome}{disturbed}"


class Log:
    """The file to which one process appends."""

    def __init__(self, folder: Path, process: int) -> None:
        self._file = os.open(folder / f"history-{process}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        self._number = 0

    def ask(self, action: Action, job: str = "", receipt: str = "", delay: float = 0.0) -> int:
        """Write down what is asked next, and return its number."""
        self._number += 1
        self._write(Asked(self._number, time.monotonic_ns(), action, job, receipt, delay))
        return self._number

    def tell(
        self, number: int, outcome: Outcome, job: str = "", receipt: str = "", attempts: int = 0, *, disturbed: bool
    ) -> None:
        """Write down what came of it."""
        self._write(Told(number, time.monotonic_ns(), outcome, job, receipt, attempts, disturbed))

    def _write(self, line: Asked | Told) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(folder: Path) -> list[Operation]:
    """Return the history that is in a folder, in the order in which things were asked."""
    operations = [
        operation
        for path in folder.glob("history-*")
        for operation in _joined(int(path.name.partition("-")[2]), path.read_bytes().splitlines())
    ]
    return sorted(operations, key=lambda operation: operation.invoked)


def _joined(process: int, lines: Iterable[bytes]) -> list[Operation]:
    asked: dict[int, Asked] = {}
    told: dict[int, Told] = {}
    for line in lines:
        match msgspec.json.decode(line, type=Asked | Told):
            case Asked() as question:
                asked[question.number] = question
            case Told() as answer:
                told[answer.number] = answer
    return [_operation(process, each, told.get(number)) for number, each in asked.items()]


def _operation(process: int, asked: Asked, told: Told | None) -> Operation:
    told = told or Told(asked.number, NEVER, "unknown", disturbed=True)
    return Operation(
        process,
        asked.action,
        asked.at,
        NEVER if told.outcome == "unknown" else told.at,
        told.outcome,
        asked.job or told.job,
        asked.receipt or told.receipt,
        asked.delay,
        told.attempts,
        told.disturbed,
    )
