"""How work stands, in a sentence, and what a person should know of it, in a few more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lagoqueue.monitor import COUNT_CAP, WorkerView
from lagoqueue_dashboard.look.format import count, duration, plural, rate
from lagoqueue_dashboard.screens.notice import Notice, Tone
from lagoqueue_dashboard.screens.rows import QueueRow

STANDSTILL = 60.0
"""Seconds without a finished job, while some wait, after which work stands still."""

MOST_NAMED = 2
"""Queues that the headline names; of more it gives the number."""

_HOUR = 3600.0
_ORDER: dict[Tone, int] = {"bad": 0, "warn": 1, "good": 2, "idle": 3}


@dataclass(frozen=True, slots=True)
class Standing:
    """How work stands.

    Attributes:
        rows: Of all queues.
        workers: Those that live; None when unknown.
        last_at: When a job last completed; None when unknown.
        pushed: Jobs pushed in the last hour, by label; empty when unknown.
    """

    rows: Sequence[QueueRow]
    workers: Sequence[WorkerView] | None
    last_at: datetime | None
    pushed: Mapping[str, int]


def summarise(standing: Standing) -> tuple[str, Tone, list[Notice]]:
    """Return the headline, its tone, and the notices, the worst first."""
    rows = standing.rows
    waiting = sum(row.pending or 0 for row in rows)
    reserved, delayed = sum(row.reserved or 0 for row in rows), sum(row.delayed or 0 for row in rows)
    if not rows:
        return "No jobs yet", "idle", []
    if standing.workers is not None and not standing.workers and waiting + reserved + delayed:
        return _nobody(standing, waiting, reserved, delayed)
    late = [row for row in rows if row.tone in ("bad", "warn")]
    unserved = unserved_queues(rows, standing.workers)
    notices = [_unserved(row, standing.workers) for row in rows if row.queue in unserved]
    notices += [_behind(row, standing) for row in late if row.queue not in unserved]
    notices.sort(key=lambda notice: _ORDER[notice.tone])
    bad = {row.queue for row in late} | set(unserved)
    if bad:
        worst: Tone = "bad" if unserved or any(row.tone == "bad" for row in late) else "warn"
        if _stands_still(standing):
            return "Work stands still", "bad", notices
        if any(row.throughput for row in rows if row.queue not in bad):
            return f"Work is flowing, except in {_named(bad)}", worst, notices
        return f"Work is falling behind in {_named(bad)}", worst, notices
    if waiting or reserved or any(row.throughput for row in rows):
        return "Work is flowing", "good", notices
    if delayed:
        return f"Nothing is due; {_jobs(delayed)} will be later", "idle", notices
    return "All work is done", "idle", notices


def unserved_queues(rows: Sequence[QueueRow], workers: Sequence[WorkerView] | None) -> list[str]:
    """Return the labels where jobs wait and that no living worker serves."""
    if not workers:
        return []
    served = {label for worker in workers for label in worker.queues}
    return [row.queue for row in rows if row.pending and row.queue not in served]


def _stands_still(standing: Standing) -> bool:
    """Tell whether nothing was done for a while, although there is something late to do."""
    if any(row.throughput for row in standing.rows):
        return False
    return standing.last_at is None or _age(standing.last_at) > STANDSTILL


def _nobody(standing: Standing, waiting: int, reserved: int, delayed: int) -> tuple[str, Tone, list[Notice]]:
    """Say that no worker lives although there is something to do, now or later."""
    tone: Tone = "bad"
    if waiting:
        more = any((row.pending or 0) >= COUNT_CAP for row in standing.rows)
        left = f"{_jobs(waiting, more)} wait{_s(waiting)}"
    elif reserved:
        left = f"{_jobs(reserved)} {'was' if reserved == 1 else 'were'} left unfinished"
    else:
        left, tone = f"{_jobs(delayed)} will be due", "warn"
    text = "Start one: lagoqueue worker MODULE:ATTRIBUTE."
    if reserved:
        text += " What the last ones had reserved is given back when the next one runs."
    if standing.last_at is not None:
        text += f" The last job was finished {duration(_age(standing.last_at))} ago."
    return f"No worker is running, and {left}", tone, [Notice(tone, "No worker is running.", text)]


def _unserved(row: QueueRow, workers: Sequence[WorkerView] | None) -> Notice:
    pending = row.pending or 0
    return Notice(
        "bad",
        f"No worker serves {row.queue}.",
        f"{_jobs(pending, pending >= COUNT_CAP)} wait{_s(pending)} there. "
        f"The {plural(len(workers or ()), 'worker')} that run{'s' if workers and len(workers) == 1 else ''} "
        f"serve{'s' if workers and len(workers) == 1 else ''} other queues.",
        queue=row.queue,
    )


def _behind(row: QueueRow, standing: Standing) -> Notice:
    """Say since when, how that compares, and whether it gets better."""
    text = f"Its oldest job has waited {duration(row.oldest or 0.0)}"
    if row.wait_p50 is not None:
        text += f", usually {duration(row.wait_p50)}"
    pushed = standing.pushed.get(row.queue)
    if pushed:
        text += f"; {rate(row.throughput)} finish now, and {rate(pushed / _HOUR)} came in over the last hour"
    return Notice(row.tone, f"{row.queue} is falling behind.", text + ".", queue=row.queue)


def _named(queues: set[str]) -> str:
    """Return the queues by name, or how many they are."""
    return " and ".join(sorted(queues)) if len(queues) <= MOST_NAMED else plural(len(queues), "queue")


def _age(at: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - at).total_seconds())


def _jobs(number: int, more: bool = False) -> str:
    return f"{count(number)}{'+' if more else ''} {'job' if number == 1 else 'jobs'}"


def _s(number: int) -> str:
    return "s" if number == 1 else ""
