"""The contract of one job id, as a state machine: which outcomes an operation may have, and what follows.

It is sequential: here every operation happens at one instant. Where the contract leaves a choice, there are several
steps, or one that need not be taken: a reservation may be let go from its expiry on, but holds until somebody does so.

Instants in a state are spans. An operation with a delay was done somewhere between `invoked` and `returned`, so the
job is due no earlier than the former, and no later than the latter, plus the delay.

**What a lost answer may do** beyond that is here as well, because the driver repeats what was `disturbed`. A repeated ack or
fail that finds the job gone counts as done, though another's may have removed it, after the reservation expired: what
was removed is not remembered. So does a repeated nack or release of what was put back with that receipt, by whomever.
Each of them may be refused though the first try did it: an ack or fail after half of the visibility timeout, when it might have
been another, and a nack or release when the job has been popped meanwhile. A claim of which nobody heard spends an attempt
when it is not given back in time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeGuard

from tests.faults.linearizability.history import NEVER, Operation

SLACK = 2_000_000
"""Nanoseconds by which the store's clock and ours may disagree on how long something took."""

TRIES = 2
"""Times that a driver asks a server for one claim; each may reserve a job of which nobody hears."""


class Span(NamedTuple):
    """An instant that lies between two."""

    earliest: int
    latest: int


@dataclass(frozen=True)
class Life:
    """From a push until the job is removed: what is true of it in all states.

    Attributes:
        attempts: How often it was delivered, less those that were given back.
        receipts: All that were given out.
        unheard: How many claims must have been made of which nobody heard.
    """

    attempts: int = 0
    receipts: frozenset[str] = frozenset()
    unheard: int = 0


@dataclass(frozen=True)
class Absent:
    """The id is free: it was never pushed, or the job is done."""

    def __str__(self) -> str:
        return "absent"


@dataclass(frozen=True)
class Waiting:
    """The job waits until it is due, and then to be popped.

    Attributes:
        life: The job's.
        due: When it is due.
        receipt: With which it was put back; empty when it was not.
    """

    life: Life
    due: Span
    receipt: str = ""

    def __str__(self) -> str:
        return f"waiting, after {self.life.attempts} attempts"


@dataclass(frozen=True)
class Reserved:
    """The job is reserved under a receipt until that expires; after that, until somebody lets it go."""

    life: Life
    receipt: str
    expires: Span

    def __str__(self) -> str:
        return f"reserved under {self.receipt}, attempt {self.life.attempts}"


State = Absent | Waiting | Reserved


class Step(NamedTuple):
    """A state that may follow, and the instant before which it cannot."""

    state: State
    at: int = 0


class Model:
    """What one job id may go through.

    Args:
        visibility_timeout: Seconds for which a job is reserved.
        unheard: When the claims were asked for that may have reserved a job of which nobody heard; ascending.
    """

    def __init__(self, visibility_timeout: float, unheard: Sequence[int] = ()) -> None:
        self._timeout = visibility_timeout
        self._unheard = unheard

    def steps(self, state: State, operation: Operation) -> Iterator[Step]:
        """Yield what may follow when this operation is the next to happen; nothing when it cannot be."""
        match operation.action, operation.outcome:
            case "push", outcome:
                return self._push(state, operation, new=outcome != "refused")
            case "pop", "done":
                return self._pop(state, operation)
            case "pop", _:
                return self._empty(state, operation)
            case _, "refused":
                return self._refused(state, operation)
            case _:
                return self._settled(state, operation)

    def _push(self, state: State, push: Operation, *, new: bool) -> Iterator[Step]:
        if isinstance(state, Absent) is new:
            yield Step(Waiting(Life(), _after(push, push.delay)) if new else state)

    def _pop(self, state: State, pop: Operation) -> Iterator[Step]:
        if isinstance(state, Absent) or pop.receipt in state.life.receipts:
            return
        unheard = pop.attempts - state.life.attempts - 1
        spent = state.life.unheard + unheard
        if unheard >= 0 and spent <= TRIES * bisect_right(self._unheard, pop.returned):
            life = Life(pop.attempts, state.life.receipts | {pop.receipt}, spent)
            free = state.due if isinstance(state, Waiting) else state.expires
            yield Step(Reserved(life, pop.receipt, _after(pop, self._timeout)), free.earliest)

    def _empty(self, state: State, pop: Operation) -> Iterator[Step]:
        """An empty pop is wrong if the job had been due all the time, and one that drains if there is a job at all."""
        if isinstance(state, Absent) or (
            pop.outcome == "empty" and not (isinstance(state, Waiting) and state.due.latest + SLACK <= pop.invoked)
        ):
            yield Step(state)

    def _refused(self, state: State, settle: Operation) -> Iterator[Step]:
        if not _holds(state, settle):
            yield Step(state)
            return
        yield Step(Waiting(state.life, Span(0, settle.returned)), state.expires.earliest)
        if settle.disturbed and settle.action != "extend":
            yield from self._settled(state, settle)

    def _settled(self, state: State, settle: Operation) -> Iterator[Step]:
        if not _holds(state, settle):
            if settle.disturbed and settle.outcome == "done" and _seems_done(state, settle):
                yield Step(state)
            return
        match settle.action:
            case "ack" | "fail":
                yield Step(Absent())
            case "nack":
                yield Step(Waiting(state.life, _after(settle, settle.delay), settle.receipt))
            case "release":
                life = replace(state.life, attempts=state.life.attempts - 1)
                yield Step(Waiting(life, _after(settle, settle.delay), settle.receipt))
            case _:
                yield Step(replace(state, expires=_after(settle, self._timeout)))


def _holds(state: State, settle: Operation) -> TypeGuard[Reserved]:
    return isinstance(state, Reserved) and state.receipt == settle.receipt


def _seems_done(state: State, settle: Operation) -> bool:
    """Tell whether a driver that has to ask again finds what it would find if its first try had been done."""
    if settle.action in ("ack", "fail"):
        return isinstance(state, Absent) or settle.receipt not in state.life.receipts
    return settle.action != "extend" and isinstance(state, Waiting) and state.receipt == settle.receipt


def _after(operation: Operation, seconds: float) -> Span:
    """Return the instant that lies so long after an operation was done."""
    wait = round(seconds * 1e9)
    return Span(operation.invoked + wait - SLACK, min(operation.returned + wait, NEVER))
