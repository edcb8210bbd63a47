"""More than at least once: scenarios after which each job has run exactly so often, since no reservation was let go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from tests.faults.journal import What
from tests.faults.stage import Stage


def each_runs(times: int) -> Callable[[Stage], None]:
    """Return a check that each job was run so often, in attempts of its own: nothing was done again, nothing counted twice.

    A job whose push was repeated may be stored once more, and is run as often for each of its rows.
    """

    def check(stage: Stage) -> None:
        attempts: dict[tuple[str, str], list[int]] = defaultdict(list)
        for event in stage.noted(What.BEGAN):
            attempts[event.job, event.receipt.partition("-")[0]].append(event.attempts)
        wrong = {row: seen for row, seen in attempts.items() if seen != list(range(1, times + 1))}
        assert not wrong, f"each should have run in the attempts 1 to {times}: {wrong}"

    return check
