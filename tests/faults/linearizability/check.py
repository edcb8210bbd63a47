"""From the history of a queue to a verdict on each job, and the verdict in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.faults.linearizability.history import NEVER, Operation
from tests.faults.linearizability.model import Model
from tests.faults.linearizability.search import Verdict, search


def check(operations: Sequence[Operation], visibility_timeout: float) -> str:
    """Return what is wrong with a history, for the first job with which anything is; nothing when it is linearizable."""
    unheard = sorted(each.invoked for each in operations if each.action == "pop" and each.disturbed)
    model = Model(visibility_timeout, unheard)
    for job, history in by_job(operations).items():
        receipts = Counter(each.receipt for each in history if each.action == "pop" and each.outcome == "done")
        if twice := [receipt for receipt, times in receipts.items() if times > 1]:
            return f"{job}: the receipt {twice[0]} was given out twice"
        verdict = search(history, model)
        if not verdict.linearizable:
            return f"{job} is not linearizable:\n{explain(verdict)}"
    return ""


def by_job(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """Return the operations of each job, and among them the empty pops that say something of it.

    One that drains speaks of all jobs. Any other speaks of those of which nothing was asked meanwhile, and only until
    the first connection is broken: a job may then be reserved, or locked, for somebody who never hears of it.
    """
    jobs: dict[str, list[Operation]] = {each.job: [] for each in operations if each.job}
    for each in operations:
        if each.job:
            jobs[each.job].append(each)
    calm = min((each.invoked for each in operations if each.disturbed), default=NEVER)
    for history in jobs.values():
        history += [
            each
            for each in operations
            if each.outcome == "drained"
            or (each.outcome == "empty" and each.returned < calm and not _overlaps(each, history))
        ]
    return jobs


def _overlaps(pop: Operation, history: Sequence[Operation]) -> bool:
    return any(each.invoked <= pop.returned and each.returned >= pop.invoked for each in history)


def explain(verdict: Verdict) -> str:
    """Return the order as far as it goes, and what cannot come next. Times are milliseconds from the job's first operation."""
    first = min(each.invoked for each in (*verdict.order, *verdict.left))
    stuck = min(verdict.left, key=lambda each: each.returned)
    rivals = [each for each in verdict.left if each.invoked <= stuck.returned and each is not stuck]
    return "\n".join(
        [
            *(_line(f"{place}.", each, first) for place, each in enumerate(verdict.order, 1)),
            f"Then the job is {verdict.state}, and there is no place for",
            _line("!", stuck, first),
            *(["nor, before it, for"] if rivals else []),
            *(_line("!", each, first) for each in rivals),
        ]
    )


def _line(mark: str, operation: Operation, first: int) -> str:
    begin = f"{(operation.invoked - first) / 1e6:.3f}"
    end = "?" if operation.returned == NEVER else f"{(operation.returned - first) / 1e6:.3f}"
    return f"{mark:>5} {begin:>10} to {end:>10}  {operation}"
