"""How work stands, in a sentence, and what a person should know of it, in a few more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lagoqueue.monitor import COUNT_CAP, FailureGroup, WorkerView
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
        groups: The failed jobs in groups.
        pushed: Jobs pushed in the last hour, by label.
    """

    rows: Sequence[QueueRow]
    workers: Sequence[WorkerView] | None
    last_at: datetime | None
    groups: Sequence[FailureGroup]
    pushed: Mapping[str, int]


def summarise(standing: Standing) -> tuple[str, Tone, list[Notice]]:
    """Return the headline, its tone, and the notices, the worst first."""
    rows = standing.rows
    late = [row for row in rows if row.tone in ("bad", "warn")]
    unserved = unserved_queues(rows, standing.workers)
    notices = [_unserved(row, standing.workers) for row in rows if row.queue in unserved]
    notices += [_behind(row, standing) for row in late if row.queue not in unserved]
    notices.sort(key=lambda notice: _ORDER[notice.tone])
    waiting = sum(row.pending or 0 for row in rows)
    if not rows:
        return "No jobs yet", "idle", []
    if waiting and standing.workers is not None and not standing.workers:
        return f"No worker is running, and {_jobs(waiting)} wait{_s(waiting)}", "bad", _nobody(standing)
    if waiting and _stands_still(standing):
        return "Work stands still", "bad", notices
    if late or unserved:
        worst: Tone = "bad" if unserved or any(row.tone == "bad" for row in late) else "warn"
        names = sorted({row.queue for row in late} | set(unserved))
        except_in = " and ".join(names) if len(names) <= MOST_NAMED else plural(len(names), "queue")
        return f"Work is flowing, except in {except_in}", worst, notices
    if waiting or any(row.reserved or row.throughput for row in rows):
        return "Work is flowing", "good", notices
    delayed = sum(row.delayed or 0 for row in rows)
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
    """Tell whether nothing is done although there is something late to do."""
    if not any(row.tone in ("bad", "warn") for row in standing.rows):
        return False
    if any(row.throughput for row in standing.rows) or any(row.reserved for row in standing.rows):
        return False
    return standing.last_at is None or (datetime.now(UTC) - standing.last_at).total_seconds() > STANDSTILL


def _nobody(standing: Standing) -> list[Notice]:
    last = ""
    if standing.last_at is not None:
        age = (datetime.now(UTC) - standing.last_at).total_seconds()
        last = f" The last job was finished {duration(max(0.0, age))} ago."
    return [Notice("bad", "No worker is running.", f"Start one with lagoqueue worker MODULE:ATTRIBUTE.{last}")]


def _unserved(row: QueueRow, workers: Sequence[WorkerView] | None) -> Notice:
    pending = row.pending or 0
    return Notice(
        "bad",
        f"No worker serves {row.queue}.",
        f"{_jobs(pending)} wait{_s(pending)} there, and the {plural(len(workers or ()), 'worker')} that "
        f"run{'s' if workers and len(workers) == 1 else ''} pop other queues.",
        queue=row.queue,
    )


def _behind(row: QueueRow, standing: Standing) -> Notice:
    """Say since when, how that compares, whether it gets better, and what fails there."""
    text = f"Its oldest job has waited {duration(row.oldest or 0.0)}"
    if row.wait_p50 is not None:
        text += f", usually {duration(row.wait_p50)}"
    pushed = standing.pushed.get(row.queue)
    if pushed:
        text += f"; {rate(row.throughput)} finish now, and {rate(pushed / _HOUR)} came in over the last hour"
    return Notice(row.tone, f"{row.queue} is falling behind.", text + ".", queue=row.queue)


def _jobs(number: int) -> str:
    return f"{count(number)}{'+' if number >= COUNT_CAP else ''} {'job' if number == 1 else 'jobs'}"


def _s(number: int) -> str:
    return "s" if number == 1 else ""
