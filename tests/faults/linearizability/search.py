"""Whether a history is linearizable: a depth-first search for an order that the model allows (Wing and Gong, 1993).

Each operation has to happen at one instant between being asked and being told. Operations of different jobs do not
touch each other, so each job is searched by itself (Herlihy and Wing's locality). What was searched once
is not searched again (Lowe, 2017): neither the same state after the same operations at the same time.

An operation of unknown outcome may happen at any instant after it was asked, or never, as in Jepsen's Knossos.

**Not checked**: what holds between jobs, such as the order in which they come out. A pop that brought a job is checked for
that job. One that says that none was due is only checked for the jobs of which nobody asked anything meanwhile: such a
job may not have been waiting, due, all the time. The others may have been locked just then, and a claim passes by what is locked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.faults.linearizability.history import NEVER, Operation
from tests.faults.linearizability.model import Absent, Model, State

LIMIT = 500_000
"""Configurations of one job after which the search gives up."""


class Undecided(Exception):
    """The search gave up."""


class Node(NamedTuple):
    """How far a search has come.

    Attributes:
        done: A bit for each operation that has happened.
        state: The job's.
        time: When the last of them happened, at the earliest.
        before: Where it came from.
        last: Which happened last.
    """

    done: int
    state: State
    time: int
    before: Node | None = None
    last: int = -1


class Verdict(NamedTuple):
    """What a search found.

    Attributes:
        order: The operations in an order that the model allows; where there is none for all, the longest that was found.
        left: Those that have to happen and are not in it, in the order in which they were asked.
        state: The job's state at the end.
    """

    order: Sequence[Operation]
    left: Sequence[Operation]
    state: State

    @property
    def linearizable(self) -> bool:
        return not self.left


def search(history: Sequence[Operation], model: Model) -> Verdict:
    """Look for an order of the operations of one job.

    Raises:
        Undecided: There are too many orders to look at.
    """
    operations = sorted(history, key=lambda operation: operation.invoked)
    certain = sum(1 << place for place, each in enumerate(operations) if each.outcome != "unknown")
    best = Node(0, Absent(), -NEVER)
    found = 0
    stack = [best]
    seen: set[tuple[int, State, int]] = set()
    while stack:
        node = stack.pop()
        key = node.done, node.state, node.time
        if key in seen:
            continue
        if len(seen) == LIMIT:
            raise Undecided(f"no order was found among {LIMIT} configurations")
        seen.add(key)
        if (known := (node.done & certain).bit_count()) > found:
            best, found = node, known
        if found == certain.bit_count():
            break
        stack += reversed([*_following(node, operations, model)])
    left = [each for place, each in enumerate(operations) if certain & ~best.done & 1 << place]
    return Verdict(_order(best, operations), left, best.state)


def _following(node: Node, operations: Sequence[Operation], model: Model) -> Iterator[Node]:
    """Yield what may come next, first what was told first: a good guess, and what is unknown comes last."""
    for place in sorted(_candidates(node.done, operations), key=lambda place: operations[place].returned):
        operation = operations[place]
        for state, at in model.steps(node.state, operation):
            time = max(node.time, operation.invoked, at)
            if time <= operation.returned:
                yield Node(node.done | 1 << place, state, time, node, place)


def _candidates(done: int, operations: Sequence[Operation]) -> list[int]:
    """Return those of the others that were asked before any of them had been told."""
    places: list[int] = []
    told = NEVER
    for place, operation in enumerate(operations):
        if operation.invoked > told:
            break
        if not done >> place & 1:
            places.append(place)
            told = min(told, operation.returned)
    return [place for place in places if operations[place].invoked <= told]


def _order(node: Node, operations: Sequence[Operation]) -> list[Operation]:
    order: list[Operation] = []
    while node.before is not None:
        order.append(operations[node.last])
        node = node.before
    return order[::-1]
