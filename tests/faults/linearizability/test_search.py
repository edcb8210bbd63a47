"""The checker itself: histories that one queue could have had, and such as none could, each for a reason of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.linearizability.check import by_job, check
from tests.faults.linearizability.history import NEVER, Action, Log, Operation, Outcome, read
from tests.faults.linearizability.model import Absent, Model, State
from tests.faults.linearizability.search import search

TIMEOUT = 1.0
MILLISECOND = 1_000_000


def asked(action: Action, invoked: float, returned: float | None, outcome: Outcome = "done", **more: Any) -> Operation:
    """An operation on the job "a", between two milliseconds; without the second, its outcome is unknown."""
    if returned is None:
        outcome = "unknown"
    end = NEVER if returned is None else round(returned * MILLISECOND)
    more = {"job": "a", "disturbed": returned is None, **more}
    return Operation(0, action, round(invoked * MILLISECOND), end, outcome, **more)


def push(invoked: float, returned: float | None, outcome: Outcome = "done", **more: Any) -> Operation:
    return asked("push", invoked, returned, outcome, **more)


def pop(invoked: float, returned: float, receipt: str, attempts: int = 1, **more: Any) -> Operation:
    return asked("pop", invoked, returned, receipt=receipt, attempts=attempts, **more)


def end(
    action: Action, invoked: float, returned: float | None, receipt: str, outcome: Outcome = "done", **more: Any
) -> Operation:
    return asked(action, invoked, returned, outcome, receipt=receipt, **more)


def empty(invoked: float, returned: float, outcome: Outcome = "empty") -> Operation:
    return asked("pop", invoked, returned, outcome, job="")


LINEARIZABLE = {
    "one after the other": [push(0, 1), pop(2, 3, "r"), end("extend", 4, 5, "r"), end("ack", 6, 7, "r"), push(8, 9)],
    "told late, but done early": [pop(0, 9, "r"), push(1, 8), end("ack", 10, 11, "r")],
    "of two pushes at once one is first": [push(0, 5), push(1, 4, "refused")],
    "a push may be before an ack that overlaps it": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 8, "r"), push(5, 6)],
    "or after it": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 8, "r"), push(5, 6, "refused")],
    "expired, and popped by another": [push(0, 1), pop(2, 3, "r"), pop(1002, 1003, "s", 2), end("ack", 1004, 1005, "s")],
    "expired, and refused": [push(0, 1), pop(2, 3, "r"), end("ack", 1003, 1004, "r", "refused")],
    "expired, but nobody let it go": [push(0, 1), pop(2, 3, "r"), end("ack", 5000, 5001, "r")],
    "delayed, and then due": [push(0, 1, delay=0.5), pop(501, 502, "r")],
    "a release gives the attempt back": [push(0, 1), pop(2, 3, "r"), end("release", 4, 5, "r"), pop(6, 7, "s", 1)],
    "a nack does not": [push(0, 1), pop(2, 3, "r"), end("nack", 4, 5, "r"), pop(6, 7, "s", 2)],
    "an unknown push may be done": [push(0, None), pop(2, 3, "r")],
    "or never": [push(0, None), push(2, 3)],
    "or at any later time": [push(0, None), push(2, 3), pop(4, 5, "r"), end("ack", 6, 7, "r"), pop(8, 9, "s")],
    "an unknown ack may be done late": [push(0, 1), pop(2, 3, "r"), end("ack", 4, None, "r"), push(5, 6, "refused"), push(7, 8)],
    "an unknown extend may be done": [
        push(0, 1), pop(2, 3, "r"), end("extend", 900, None, "r"), end("ack", 1500, 1501, "r"),
    ],
    "an unheard claim spends an attempt": [push(0, 1), asked("pop", 2, None, job=""), pop(1500, 1501, "r", 2)],
    "a disturbed ack of what another has removed": [
        push(0, 1), pop(2, 3, "r"), pop(1500, 1501, "s", 2), end("ack", 1502, 1503, "s"),
        end("ack", 1504, 1505, "r", disturbed=True),
    ],
    "a disturbed nack whose job was popped before it was asked again": [
        push(0, 1), pop(2, 3, "r"), end("nack", 4, 9, "r", "refused", disturbed=True), pop(5, 6, "s", 2),
    ],
    "a disturbed nack of what was put back before": [
        push(0, 1), pop(2, 3, "r"), end("release", 4, 5, "r"), end("nack", 6, 7, "r", delay=9, disturbed=True), pop(8, 9, "s"),
    ],
    "a disturbed ack that was done, and then refused": [
        push(0, 1), pop(2, 3, "r"), end("ack", 4, 9, "r", "refused", disturbed=True), push(10, 11),
    ],
    "empty, while the job was reserved": [push(0, 1), pop(2, 3, "r"), empty(4, 5)],
    "empty, before the job was due": [push(0, 1, delay=0.1), empty(50, 51)],
    "empty, while the job was being pushed": [push(0, 9), empty(4, 5)],
    "drained": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r"), empty(6, 2000, "drained")],
}  # fmt: skip

WRONG = {
    "popped without a push": [pop(0, 1, "r")],
    "popped before the push was asked for": [pop(0, 1, "r"), push(2, 3)],
    "popped twice": [push(0, 1), pop(2, 3, "r"), pop(4, 5, "s", 2)],
    "popped too early after a reservation": [push(0, 1), pop(2, 3, "r"), pop(900, 901, "s", 2)],
    "popped too early after an extend": [push(0, 1), pop(2, 3, "r"), end("extend", 900, 901, "r"), pop(1100, 1101, "s", 2)],
    "popped before it was due": [push(0, 1, delay=0.5), pop(300, 301, "r")],
    "popped before a nack let it": [push(0, 1), pop(2, 3, "r"), end("nack", 4, 5, "r", delay=0.5), pop(300, 301, "s", 2)],
    "pushed twice": [push(0, 1), push(2, 3)],
    "a duplicate of nothing": [push(0, 1, "refused")],
    "a duplicate of what is done": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r"), push(6, 7, "refused")],
    "acked twice": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r"), end("ack", 6, 7, "r")],
    "acked after it went to another": [push(0, 1), pop(2, 3, "r"), pop(1500, 1501, "s", 2), end("ack", 1502, 1503, "r")],
    "nacked after it went to another": [push(0, 1), pop(2, 3, "r"), pop(1500, 1501, "s", 2), end("nack", 1502, 1503, "r")],
    "extended after it was acked": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r"), end("extend", 6, 7, "r")],
    "refused, though it held": [push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r", "refused")],
    "good again after it was refused": [
        push(0, 1), pop(2, 3, "r"), end("extend", 1500, 1501, "r", "refused"), end("ack", 1502, 1503, "r"),
    ],
    "lost": [push(0, 1), empty(2, 2000, "drained")],
    "lost after it expired": [push(0, 1), pop(2, 3, "r"), empty(4, 3000, "drained")],
    "an attempt that was not counted": [push(0, 1), pop(2, 3, "r"), end("nack", 4, 5, "r"), pop(6, 7, "s", 1)],
    "an attempt too many": [push(0, 1), pop(2, 3, "r", 2)],
    "an attempt that was not given back": [push(0, 1), pop(2, 3, "r"), end("release", 4, 5, "r"), pop(6, 7, "s", 2)],
    "a receipt that comes again": [
        push(0, 1), pop(2, 3, "r"), end("ack", 4, 5, "r"), push(6, 7), pop(8, 9, "r"),
    ],
    "done twice, though unknown once": [
        push(0, None), pop(1, 2, "r"), end("ack", 3, 4, "r"), pop(5, 6, "s"),
    ],
    "an unknown ack that cannot have held": [
        push(0, 1), pop(2, 3, "r"), end("nack", 4, 5, "r"), end("ack", 6, None, "r"), push(8, 9),
    ],
    "a disturbed ack of what is there": [
        push(0, 1), pop(2, 3, "r"), pop(1500, 1501, "s", 2), end("ack", 1502, 1503, "r", disturbed=True),
        end("ack", 1504, 1505, "s"),
    ],
    "a disturbed nack that put nothing back": [
        push(0, 1), pop(2, 3, "r"), end("nack", 1500, 1501, "r", delay=0.5, disturbed=True), pop(1502, 1503, "s", 2),
    ],
    "empty, while the job was due": [push(0, 1), empty(20, 21)],
    "empty, after the job was due again": [push(0, 1), pop(2, 3, "r"), end("nack", 4, 5, "r", delay=0.1), empty(150, 151)],
}  # fmt: skip


@pytest.mark.parametrize("history", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_what_one_queue_could_have_said_is_linearizable(history: Sequence[Operation]) -> None:
    assert check(history, TIMEOUT) == ""


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_what_no_queue_could_have_said_is_not(history: Sequence[Operation]) -> None:
    assert check(history, TIMEOUT).startswith("a")


def test_the_verdict_shows_the_history_of_the_job_and_what_had_no_place() -> None:
    others = [push(0, 1, job="b"), pop(2, 3, "q", job="b")]
    late = end("ack", 1502, 1503, "r")
    history = [push(0, 1), pop(2, 3, "r"), pop(1500, 1501, "s", 2), late, end("ack", 1504, 1505, "s")]
    assert check([*others, *history], TIMEOUT).splitlines() == [
        "a is not linearizable:",
        "   1.      0.000 to      1.000  process 0: push, a -> done",
        "   2.      2.000 to      3.000  process 0: pop, a, receipt r, attempt 1 -> done",
        "   3.   1500.000 to   1501.000  process 0: pop, a, receipt s, attempt 2 -> done",
        "Then the job is reserved under s, attempt 2, and there is no place for",
        "    !   1502.000 to   1503.000  process 0: ack, a, receipt r -> done",
    ]


def test_an_empty_pop_speaks_of_jobs_of_which_nothing_was_asked_meanwhile() -> None:
    nothing = empty(20, 30)
    history = [push(0, 1), push(0, 1, job="b"), push(25, 35, "refused", job="b"), nothing]
    histories = by_job(history)
    assert nothing in histories["a"]
    assert nothing not in histories["b"]


def test_an_empty_pop_speaks_of_nothing_once_a_connection_was_broken() -> None:
    nothing = empty(20, 30)
    broken = push(10, 11, job="b", disturbed=True)
    assert nothing not in by_job([push(0, 1), broken, nothing])["a"]


def test_a_history_is_read_as_it_was_logged(tmp_path: Path) -> None:
    log = Log(tmp_path, 3)
    first = log.ask("pop")
    log.ask("nack", "a", "r", 0.5)
    log.tell(first, "done", "a", "s", 2, disturbed=True)
    popped, nacked = read(tmp_path)
    assert 0 < popped.invoked <= nacked.invoked <= popped.returned < nacked.returned == NEVER
    times = {"invoked": 0, "returned": 0}
    assert msgspec.structs.replace(popped, **times) == Operation(
        3, "pop", 0, 0, "done", "a", "s", attempts=2, disturbed=True
    )
    assert msgspec.structs.replace(nacked, **times) == Operation(
        3, "nack", 0, 0, "unknown", "a", "r", 0.5, disturbed=True
    )


# --- Random histories -----------------------------------------------------------------------------
# Times are tenths of the visibility timeout.

TENTH = round(TIMEOUT * 1e9 / 10)
MODEL = Model(TIMEOUT)

REFUSABLE: tuple[Action, ...] = ("push", "ack", "fail", "nack", "release", "extend")
OUTCOMES: tuple[Outcome, ...] = ("done", "refused")
KINDS: list[tuple[Action, Outcome]] = [*itertools.product(REFUSABLE, OUTCOMES), ("pop", "done"), ("pop", "empty")]


@st.composite
def runs(draw: st.DrawFn, most: int) -> list[Operation]:
    """What happened one after the other, as the model allows it, and then took longer: from somewhat before until somewhat after.

    Some of it was unknown to whoever asked.
    """
    state: State = Absent()
    now = 0
    receipts: list[str] = []
    operations: list[Operation] = []
    for _ in range(draw(st.integers(1, most))):
        now += TENTH * draw(st.integers(0, 4))
        possible = [
            (operation, step.state)
            for operation in imaginable(now, receipts, state)
            for step in MODEL.steps(state, operation)
            if step.at <= now
        ]
        operation, state = draw(st.sampled_from(possible))
        operations.append(operation)
        receipts += [operation.receipt] * (operation.attempts > 0)
    return [draw(stretched(each)) for each in operations]


def imaginable(now: int, receipts: Sequence[str], state: State) -> Iterator[Operation]:
    """Everything that may be asked and told at an instant."""
    for action, outcome in KINDS:
        if (action, outcome) == ("pop", "done"):
            attempts = 1 if isinstance(state, Absent) else state.life.attempts + 1
            yield Operation(0, action, now, now, outcome, "a", f"r{len(receipts)}", attempts=attempts)
        elif action in ("push", "pop"):
            yield Operation(0, action, now, now, outcome, "a", delay=0.3 * (now // TENTH % 2))
        else:
            for receipt in ["none", *receipts[-2:]]:
                yield Operation(0, action, now, now, outcome, "a", receipt)


@st.composite
def stretched(draw: st.DrawFn, operation: Operation) -> Operation:
    unknown = operation.action != "pop" and operation.outcome == "done" and draw(st.integers(0, 4)) == 0
    return msgspec.structs.replace(
        operation,
        invoked=operation.invoked - TENTH * draw(st.integers(0, 3)),
        returned=NEVER if unknown else operation.returned + TENTH * draw(st.integers(0, 3)),
        outcome="unknown" if unknown else operation.outcome,
    )


@st.composite
def tampered(draw: st.DrawFn) -> list[Operation]:
    """A short run, of which some have been told something else, or at another time."""
    operations = draw(runs(6))
    for place in draw(st.lists(st.integers(0, len(operations) - 1), max_size=2)):
        operation = operations[place]
        action, outcome = draw(st.sampled_from(KINDS))
        changes: list[dict[str, Any]] = [
            {"action": action, "outcome": outcome, "returned": operation.invoked + TENTH},
            {"invoked": operation.invoked - 5 * TENTH},
            {"receipt": "r0"},
            {"attempts": operation.attempts + 1},
        ]
        operations[place] = msgspec.structs.replace(operation, **draw(st.sampled_from(changes)))
    return operations


@settings(deadline=None, max_examples=100)
@given(runs(15))
def test_what_happened_one_after_the_other_is_linearizable_however_long_it_took(history: list[Operation]) -> None:
    assert search(history, MODEL).linearizable


@settings(deadline=None, max_examples=200)
@given(tampered())
def test_the_search_finds_an_order_exactly_where_one_of_all_orders_will_do(history: list[Operation]) -> None:
    assert search(history, MODEL).linearizable is any(map(is_allowed, orders(history)))


def orders(history: Sequence[Operation]) -> list[tuple[Operation, ...]]:
    """Every sequence of all that is certain and some of what is not in which nothing comes before what it followed."""
    certain = [each for each in history if each.outcome != "unknown"]
    unknown = [each for each in history if each.outcome == "unknown"]
    some = [chosen for count in range(len(unknown) + 1) for chosen in itertools.combinations(unknown, count)]
    return [
        order
        for chosen in some
        for order in itertools.permutations([*certain, *chosen])
        if all(first.invoked <= second.returned for first, second in itertools.combinations(order, 2))
    ]


def is_allowed(order: Sequence[Operation]) -> bool:
    """Tell whether the model allows a sequence, with an instant for each."""
    reached: set[tuple[State, int]] = {(Absent(), -NEVER)}
    for each in order:
        steps = [
            (state, max(time, each.invoked, at)) for before, time in reached for state, at in MODEL.steps(before, each)
        ]
        reached = {(state, time) for state, time in steps if time <= each.returned}
    return bool(reached)
