"""The headline and the notices: what is said for how work stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lagoqueue.monitor import QueueActivity, QueueDepth, QueueStats, WorkerView
from lagoqueue_dashboard.screens.rows import QueueRow, queue_rows
from lagoqueue_dashboard.screens.summary import Standing, summarise

NOW = datetime.now(UTC)


def row(label: str = "mail", *, throughput: float = 0.0, late: float = 60.0, **depth: Any) -> QueueRow:
    stats = QueueStats(label, throughput=throughput)
    (found,) = queue_rows([stats], [QueueDepth(label, **depth)], None, lambda _: late)
    return found


def worker(*labels: str) -> WorkerView:
    return WorkerView("w", "host", 1, labels, 4, NOW, NOW, [])


def said(
    rows: Sequence[QueueRow], workers: list[WorkerView] | None = None, last_at: datetime | None = None, **pushed: int
) -> tuple[str, str, list[str]]:
    headline, tone, notices = summarise(Standing(rows, workers, last_at, pushed))
    return headline, tone, [f"{notice.title} {notice.text}".strip() for notice in notices]


SERVED = [worker("mail", "bulk", "c")]


@pytest.mark.parametrize(
    ("rows", "workers", "headline", "tone"),
    [
        ([], None, "No jobs yet", "idle"),
        ([], SERVED, "No jobs yet", "idle"),
        ([row()], SERVED, "All work is done", "idle"),
        ([row(delayed=1)], SERVED, "Nothing is due; 1 job will be later", "idle"),
        ([row(delayed=2)], SERVED, "Nothing is due; 2 jobs will be later", "idle"),
        ([row(pending=3, oldest=1.0)], SERVED, "Work is flowing", "good"),
        ([row(reserved=1)], SERVED, "Work is flowing", "good"),
        ([row(throughput=0.5)], SERVED, "Work is flowing", "good"),
        ([row(pending=1)], [], "No worker is running, and 1 job waits", "bad"),
        ([row(pending=2)], [], "No worker is running, and 2 jobs wait", "bad"),
        ([row(pending=10_000)], [], "No worker is running, and 10,000+ jobs wait", "bad"),
        ([row(pending=1, oldest=100.0)], SERVED, "Work stands still", "bad"),
        ([row(pending=1, oldest=100.0)], None, "Work stands still", "bad"),
        ([row(pending=1, oldest=5000.0, reserved=4)], SERVED, "Work stands still", "bad"),  # all handlers hang
        ([row(reserved=10)], [], "No worker is running, and 10 jobs were left unfinished", "bad"),
        ([row(reserved=1)], [], "No worker is running, and 1 job was left unfinished", "bad"),
        ([row(delayed=1)], [], "No worker is running, and 1 job will be due", "warn"),
        ([row()], [], "All work is done", "idle"),
        ([row(pending=1, oldest=300.0, throughput=1.0)], SERVED, "Work is falling behind in mail", "bad"),
        (
            [
                row(pending=1, oldest=100.0, throughput=1.0),
                row("bulk", pending=1, oldest=90.0),
                row("c", throughput=9.0),
            ],
            SERVED,
            "Work is flowing, except in bulk and mail",
            "warn",
        ),
        (
            [row(label, pending=1, oldest=100.0, throughput=1.0) for label in ("mail", "bulk", "c")],
            SERVED,
            "Work is falling behind in 3 queues",
            "warn",
        ),
        ([row(pending=1, throughput=1.0), row("x", pending=1)], SERVED, "Work is flowing, except in x", "bad"),
        ([row("x", pending=6_000), row("y", pending=6_000)], [], "No worker is running, and 12,000 jobs wait", "bad"),
    ],
)
def test_the_headline(rows: list[QueueRow], workers: list[WorkerView] | None, headline: str, tone: str) -> None:
    assert said(rows, workers)[:2] == (headline, tone)


def test_without_workers_the_last_job_is_told() -> None:
    _, _, notices = said([row(pending=1)], [], datetime.now(UTC) - timedelta(hours=3))
    (notice,) = notices
    assert notice.endswith("The last job was finished 3 h ago.")


def test_work_that_was_done_lately_does_not_stand_still() -> None:
    rows = [row(pending=1, oldest=100.0)]
    assert said(rows, SERVED, datetime.now(UTC))[0] == "Work is falling behind in mail"


def test_a_queue_without_a_worker() -> None:
    _, tone, notices = said([row(pending=1), row("x", pending=2)], SERVED)
    assert tone == "bad"
    assert notices == ["No worker serves x. 2 jobs wait there. The 1 worker that runs serves other queues."]


def test_a_queue_that_falls_behind() -> None:
    rows = [row(pending=9, oldest=100.0, throughput=2.0)]
    assert said(rows, SERVED)[2] == ["mail is falling behind. Its oldest job has waited 1 min."]
    (notice,) = said(rows, SERVED, mail=3600)[2]
    assert "2 a second finish now, and 1 a second came in over the last hour." in notice


def test_the_worst_comes_first() -> None:
    rows = [row("c", pending=1, oldest=100.0, throughput=1.0), row("mail", pending=1, oldest=900.0)]
    assert [notice.split()[0] for notice in said(rows, SERVED)[2]] == ["mail", "c"]


# --- Rows ---------------------------------------------------------------------------------------------


def test_a_row_is_made_of_what_is_known() -> None:
    counted = [QueueStats("b", pushed=3, pending=2), QueueStats("a")]
    assert [row.queue for row in queue_rows(counted, None, None, lambda _: 60.0)] == ["a", "b"]
    (_, known) = queue_rows(counted, None, None, lambda _: 60.0)
    assert (known.pending, known.delayed, known.failed, known.spark) == (2, None, None, ())
    rows = queue_rows(counted, [QueueDepth("c", 1, 2, 3, 4)], [QueueActivity("d")], lambda _: 60.0)
    assert [row.queue for row in rows] == ["a", "b", "c", "d"]
    assert (rows[1].pending, rows[2].pending, rows[3].spark) == (0, 1, (0,) * 30)


@pytest.mark.parametrize(("oldest", "tone"), [(59.9, "good"), (60.0, "warn"), (299.9, "warn"), (300.0, "bad")])
def test_when_a_queue_is_late(oldest: float, tone: str) -> None:
    assert row(pending=1, oldest=oldest).tone == tone
    assert row(pending=1, oldest=oldest, late=1e6).tone == "good"
