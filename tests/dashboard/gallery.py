"""Example screens, from a busy hour to the worst texts: each template rendered without any store."""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quart import Quart

from lagoqueue.monitor import FailedView, FailureGroup, HealthCheck, JobView, MemoryInspector, Stats, WorkerView
from lagoqueue_dashboard.assets import Assets
from lagoqueue_dashboard.blueprint import dashboard
from lagoqueue_dashboard.filters import FilterForm
from lagoqueue_dashboard.flash import Flash
from lagoqueue_dashboard.guarding.access import Access, Viewer
from lagoqueue_dashboard.guarding.refused import Refused
from lagoqueue_dashboard.payload import Node, PayloadView
from lagoqueue_dashboard.posts import Progress
from lagoqueue_dashboard.rendering import make_environment, render, render_parts
from lagoqueue_dashboard.screens.charts import ChartsScreen
from lagoqueue_dashboard.screens.failed import Confirmation, FailedScreen, GroupRow
from lagoqueue_dashboard.screens.failed_job import FailedJobScreen
from lagoqueue_dashboard.screens.health import HealthScreen
from lagoqueue_dashboard.screens.job import JobScreen
from lagoqueue_dashboard.screens.notice import Notice, Tone
from lagoqueue_dashboard.screens.overview import Overview
from lagoqueue_dashboard.screens.queue import QueueScreen
from lagoqueue_dashboard.screens.rows import QueueRow
from lagoqueue_dashboard.screens.workers import WorkersScreen
from lagoqueue_dashboard.series import Line, Series

NOW = datetime.now(UTC).replace(microsecond=0)
EVIL = "</script><svg onload=alert(1)>{{7*7}}'\"&amp;\u202egnp.exe\u2028"
LONG = "acme.billing.invoices.regenerate_and_send_again_" * 4
TOKEN = "the-token-of-this-viewer"


def before(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


@dataclass(frozen=True)
class Shown:
    """One example: a template, what it shows, and what differs around it."""

    page: str
    screen: Any
    around: Mapping[str, Any] = field(default_factory=dict)


# --- The busy hour ------------------------------------------------------------------------------------


def wave(seed: int, points: int, height: float, dip: bool = False) -> tuple[float, ...]:
    chance = random.Random(seed)
    values = []
    for point in range(points):
        level = height * (1 + 0.15 * math.sin(point / points * 7) + chance.uniform(-0.12, 0.12))
        values.append(level * 0.38 if dip and 0.58 < point / points < 0.7 else level)
    return tuple(values)


def throughput(points: int = 360, step: int = 10, title: str = "Jobs a second, last hour") -> Series:
    bad = tuple(9 + value / 9 if 0.58 < i / points < 0.7 else value / 60 for i, value in enumerate(wave(2, points, 30)))
    at = tuple(before(seconds=step * (points - i)) for i in range(points))
    return Series(
        title, "jobs/s", at, step, (Line("finished", wave(1, points, 55, True)), Line("failed", bad, bad=True))
    )


def latency(title: str, median: float, points: int = 360, step: int = 10) -> Series:
    at = tuple(before(seconds=step * (points - i)) for i in range(points))
    p95 = tuple(value * (9 if 0.58 < i / points < 0.7 else 4) for i, value in enumerate(wave(4, points, median)))
    return Series(title, "s", at, step, (Line("median", wave(3, points, median)), Line("p95", p95)))


def row(queue: str, tone: Any, **figures: Any) -> QueueRow:
    known: dict[str, Any] = {
        "pending": 0, "delayed": 0, "reserved": 0, "failed": 0, "oldest": None, "pushed": 1_204_113, "processed": 1_203_000,
        "retried": 410, "failures": 27, "throughput": 12.4, "run_p50": 0.041, "run_p95": 0.118, "wait_p50": 0.02, "wait_p95": 0.2,
        "spark": tuple(int(value) for value in wave(len(queue), 30, 900)), "last_at": before(seconds=2),
    }  # fmt: skip
    return QueueRow(queue=queue, tone=tone, **(known | figures))


QUEUES = [
    row("critical", "good", reserved=2, oldest=0.2),
    row("default", "warn", pending=1284, reserved=24, delayed=310, failed=19, oldest=74.0, throughput=38.1, run_p50=0.118),
    row("emails", "bad", pending=92, reserved=6, delayed=1120, failed=8, oldest=251.0, throughput=1.6, run_p50=0.64, run_p95=4.2,
        wait_p50=61.0, wait_p95=240.0, spark=tuple(int(40 - i + 6 * math.sin(i)) for i in range(30))),
    row("reports", "idle", pending=3, reserved=1, delayed=12, oldest=31.0, throughput=0.012, run_p50=8.2, run_p95=44.0, spark=(0,) * 30),
]  # fmt: skip

OVERVIEW = Overview(
    headline="Work is flowing, except in emails", tone="bad",
    notices=[
        Notice("bad", "emails is falling behind.", "Its oldest job has waited 4 min, usually 3 s; 1.6 a second finish and 9 arrive. 8 jobs failed with SMTPServerDisconnected.", "emails"),
        Notice("warn", "default is slower than usual.", "Its oldest job has waited 74 s.", "default"),
    ],
    waiting=1379, waiting_more=False, delayed=1442, delayed_more=False, running=33, running_more=False, failed=27, failed_more=False,
    oldest=251.0, oldest_queue="emails", workers=5, slots=40, finished=184_203, throughput=52.1, run_p50=0.118, failed_groups=4, failed_groups_more=False,
    failed_at=before(minutes=1), last_at=before(seconds=2), queues=QUEUES, chart=throughput(), problems=[],
)  # fmt: skip


def evil_overview() -> Overview:
    rows = [
        row(EVIL, "bad", pending=10_000, failed=10_000, delayed=10_000, reserved=10_000, oldest=86400.0 * 40, pushed=10**15, throughput=1234567.8),
        row(LONG, "warn", pending=1, oldest=4000.0, run_p50=None, run_p95=None, spark=()),
    ]  # fmt: skip
    return Overview(
        headline=f"{EVIL} stands still", tone="bad", notices=[Notice("bad", EVIL, LONG, EVIL), Notice("warn", LONG)],
        waiting=12_345_678, waiting_more=True, delayed=10_000, delayed_more=True, running=10_000, running_more=True, failed=10_000,
        failed_more=True, oldest=86400.0 * 40, oldest_queue=LONG, workers=1234, slots=123_456, finished=9_876_543_210, throughput=1234567.8,
        run_p50=4000.0, failed_groups=50, failed_groups_more=True, failed_at=before(days=400), last_at=before(days=3), queues=rows,
        chart=throughput(), problems=["The failed jobs could not be read: the database did not answer within 3 s.", EVIL],
    )  # fmt: skip


def plain_overview() -> Overview:
    """What an inspector that only counts can tell."""
    nothing = dict.fromkeys(("delayed", "reserved", "failed", "run_p50", "run_p95", "wait_p50", "wait_p95", "last_at"))
    rows = [
        row("default", "good", pending=4, spark=(), **nothing),
        row("emails", "idle", throughput=0.0, spark=(), **nothing),
    ]
    return Overview(
        headline="Work is flowing", tone="good", notices=[], waiting=4, waiting_more=False, delayed=None, delayed_more=False, running=None,
        running_more=False, failed=None, failed_more=False, oldest=None, oldest_queue=None, workers=None, slots=None, finished=None,
        throughput=12.4, run_p50=None, failed_groups=None, failed_groups_more=False, failed_at=None, last_at=None, queues=rows, chart=None, problems=[],
    )  # fmt: skip


def empty_overview() -> Overview:
    return Overview(
        headline="Nothing to do yet", tone="idle", notices=[Notice("warn", "No worker is alive.", "Jobs will wait until one starts.")],
        waiting=0, waiting_more=False, delayed=0, delayed_more=False, running=0, running_more=False, failed=0, failed_more=False, oldest=None,
        oldest_queue=None, workers=0, slots=0, finished=0, throughput=0.0, run_p50=None, failed_groups=0, failed_groups_more=False, failed_at=None, last_at=None,
        queues=[], chart=Series("Jobs a second, last hour", "jobs/s", (), 10, ()), problems=[],
    )  # fmt: skip


# --- Queues and jobs ----------------------------------------------------------------------------------


def job(number: int, name: str = "SendWelcomeEmail", **more: Any) -> JobView:
    return JobView(f"019362f0-7a1c-7c31-9b1e-0000000{number:05}", "emails", name, 1, **more)


def queue_screen(state: Any, jobs: list[JobView], **more: Any) -> QueueScreen:
    charts = (throughput(), latency("Run time, last hour", 0.12), latency("Time waited, last hour", 3.0))
    known: dict[str, Any] = {
        "row": QUEUES[2],
        "next": "cursor",
        "page": None,
        "detailed": True,
        "charts": charts,
        "problems": [],
    }
    return QueueScreen(queue=more.pop("queue", "emails"), state=state, jobs=jobs, **(known | more))


PENDING = [job(i, available_at=before(seconds=251 - 5 * i), state="pending") for i in range(12)]
DELAYED = [job(i, ("SendReminder", "SendDigest")[i % 2], available_at=before(minutes=-7 * i - 1), state="delayed", priority=5 * (i % 2)) for i in range(9)]  # fmt: skip
RESERVED = [
    job(i, "RenderReport", state="reserved", reserved_at=before(seconds=40 * i), reserved_until=before(minutes=-5), worker="web-2-418-5f0c1d8e9a77")
    for i in range(6)
]  # fmt: skip
AWFUL = [
    JobView("..", EVIL, EVIL, 10**9, priority=-(10**9), available_at=before(days=800)),
    JobView("a/b?c#d\r\ne", LONG, LONG, 3, priority=2**31, available_at=NOW),
    JobView("x" * 190, "q" * 190, "n" * 190, 0),
]

TREE = Node("object", None, "", 8, (
    Node("number", "user_id", "42"), Node("text", "address", "ada@example.org"), Node("true", "first", "true"), Node("null", "coupon", "null"),
    Node("object", "mail", "", 3, (
        Node("text", "template", "welcome-2026"), Node("array", "attachments", "", 2, (
            Node("object", None, "", 2, (Node("text", "file", "terms.pdf"), Node("number", "size", "184203"))), Node("more", None, "1 more item"))),
        Node("array", "cc", ""))),
    Node("text", "api_key", "hidden"), Node("number", "exact", "12345678901234567890123"), Node("text", "note", f"{EVIL}\nand a second line"),
))  # fmt: skip
PAYLOAD = PayloadView(
    TREE,
    '{"user_id": 42, "address": "ada@example.org", "first": true, "coupon": null}',
    312,
    False,
    "Values of secret names are hidden.",
)
RAW = PayloadView(
    None, "\\x00\\xff" * 400 + EVIL, 1_048_576, True, "This is no JSON: it begins with a byte that no JSON has."
)
NOTHING = PayloadView(None, "", 0, False, "There is no payload.")

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/jobs/mail.py", line 41, in send_welcome_email
    await mailer.send(build_email(job.user_id))
  File "/srv/shop/mailer.py", line 88, in send
    await self.connection.sendmail(message.sender, message.recipients, message.as_bytes())
          ^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.13/site-packages/aiosmtplib/smtp.py", line 318, in sendmail
    response = await self.execute_command(b"DATA")
  File "/usr/lib/python3.13/site-packages/aiosmtplib/protocol.py", line 241, in execute_command
    raise SMTPServerDisconnected("connection unexpectedly closed")
aiosmtplib.errors.SMTPServerDisconnected: connection unexpectedly closed
"""

FAILED = [
    FailedView(f"019362f0-7a1c-7c31-9b1e-0000000{i:05}", *rest)
    for i, rest in enumerate((
        ("emails", "SendWelcomeEmail", "SMTPServerDisconnected", "SMTPServerDisconnected: connection unexpectedly closed", 5, before(minutes=3)),
        ("default", "IndexFile", "SyntaxError", "SyntaxError: invalid decimal literal (badsyntax_3131.py, line 2)", 3, before(minutes=41)),
        ("default", "RecalculateQuota", "NoHandler", "NoHandler: no handler for 'RecalculateQuota' on any live worker", 12, before(minutes=1)),
        ("reports", "RenderReport", "WorkerDied", "WorkerDied: its worker died 3 times while running it", 3, before(hours=5)),
    ))
]  # fmt: skip


def failed_job(view: FailedView, **more: Any) -> FailedJobScreen:
    known: dict[str, Any] = {
        "priority": 0, "available_at": before(minutes=4), "headers": {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tenant": "acme"},
        "pushed_at": before(minutes=31), "payload": PAYLOAD, "traceback": TRACEBACK, "replaced": False, "acts": True, "problems": [],
    }  # fmt: skip
    return FailedJobScreen(view=view, **(known | more))


# --- Failed jobs --------------------------------------------------------------------------------------

GROUPS = [
    GroupRow(FailureGroup(view.kind, view.name, count, first, view.failed_at, view.id), view.error.partition(": ")[2], view.queue)
    for view, count, first in zip(FAILED, (8, 9, 7, 3), (before(minutes=25), before(hours=1), before(minutes=8), before(days=2)), strict=True)
]  # fmt: skip


MANY_GROUPS = [
    GroupRow(FailureGroup("KeyError", f"Task{i}", 90 - i, before(hours=2), before(minutes=i), FAILED[0].id), f"'field{i}'", "default")
    for i in range(50)
]  # fmt: skip


def failed_screen(**more: Any) -> FailedScreen:
    known: dict[str, Any] = {
        "form": FilterForm(), "view": "groups", "total": 27, "total_more": False, "groups": [], "groups_more": False, "jobs": [], "next": None, "page": None,
        "searchable": True, "queues": {"default": 19, "emails": 8}, "acts": True, "problems": [],
    }  # fmt: skip
    return FailedScreen(**(known | more))


EVIL_FORM = FilterForm(queue=EVIL, name=LONG, kind=EVIL, text="a  b\r\n\u202e" + EVIL, within="week", id="..")
EVIL_FAILED = [
    FailedView("..", EVIL, EVIL, EVIL, f"{EVIL}: {LONG}{EVIL}", 10**6, before(days=900)),
    FailedView("a/b\r\nc", LONG, LONG, LONG, LONG * 5, 1, datetime.fromtimestamp(0, UTC)),
]

# --- Workers and health -------------------------------------------------------------------------------

WORKERS = [
    WorkerView("5f0c1d8e9a7741d2", "web-1", 417, ("critical", "default"), 8, before(hours=5), before(seconds=1), RESERVED),
    WorkerView("77d21d8e9a7741d2", "web-2.eu-central-1.compute.internal", 418, ("default", "emails", "reports"), 16, before(minutes=12), before(seconds=7), RESERVED * 2),
    WorkerView("9a021d8e9a7741d2", "batch-1", 90211, ("reports",), 4, before(days=9), before(seconds=11), []),
]  # fmt: skip
TONES: dict[str, Tone] = dict(zip((worker.id for worker in WORKERS), ("good", "warn", "bad"), strict=True))
HEALTH = HealthScreen(
    tone="bad", headline="The database needs you",
    checks=[
        HealthCheck("Oldest transaction", "bad", "A transaction of psql (pid 4711) has been open for 3 h and keeps 1,204,113 dead rows from being cleared.", "Commit or end it: SELECT pg_terminate_backend(4711)."),
        HealthCheck("Dead rows", "warn", "48% of the rows of the jobs table are dead; it was vacuumed 3 h ago.", "They are cleared by the next vacuum once no old transaction is open."),
        HealthCheck("Expired reservations", "good", "None.", ""), HealthCheck("Round trip", "good", "1.2 ms.", ""),
    ],
    problems=[],
)  # fmt: skip


def shown() -> dict[str, Shown]:
    """All examples by name."""
    looks_only = {"viewer": Viewer(Access.READ, "grace@example.org")}
    day = (throughput(288, 300, "Jobs a second, last day"), latency("Run time, last day", 0.12, 288, 300), latency("Time waited, last day", 3.0, 288, 300))  # fmt: skip
    return {
        "overview": Shown("overview", OVERVIEW),
        "overview-evil": Shown("overview", evil_overview(), {"stale": True, "read_at": before(minutes=31), "title": EVIL, "environment": LONG, "nav_failed": 10_000, "nav_failed_more": True}),
        "overview-plain": Shown("overview", plain_overview(), {"nav_failed": None}),
        "overview-empty": Shown("overview", empty_overview(), {"nav_failed": 0}),
        "queue": Shown("queue", queue_screen("pending", PENDING), {"query": {"name": "emails"}}),
        "queue-delayed": Shown("queue", queue_screen("delayed", DELAYED, next=None), {"query": {"name": "emails", "state": "delayed", "after": "x"}}),
        "queue-running": Shown("queue", queue_screen("reserved", RESERVED, next=None)),
        "queue-evil": Shown("queue", queue_screen("pending", AWFUL, queue=EVIL, problems=[EVIL])),
        "queue-empty": Shown("queue", queue_screen("pending", [], row=None, charts=(), next=None)),
        "queue-plain": Shown("queue", queue_screen("pending", PENDING[:3], charts=(), detailed=False, next="3", page=2), {"query": {"page": "2"}}),
        "job": Shown("job", JobScreen(RESERVED[0], {"tenant": "acme"}, before(minutes=31), PAYLOAD, [])),
        "job-evil": Shown("job", JobScreen(AWFUL[0], {EVIL: LONG}, None, RAW, [EVIL])),
        "failed": Shown("failed", failed_screen(groups=GROUPS)),
        "failed-jobs": Shown("failed", failed_screen(view="jobs", jobs=FAILED * 2, next="cursor", form=FilterForm(queue="default", kind="SyntaxError", text="badsyntax", within="day")), {"flash": Flash("good", "3 jobs were put back in the queue.")}),
        "failed-evil": Shown("failed", failed_screen(view="jobs", jobs=EVIL_FAILED, form=EVIL_FORM, queues={EVIL: 10_000, LONG: 1}, total=10_000, total_more=True, problems=[EVIL]), {"query": {"after": EVIL}}),
        "failed-groups-evil": Shown("failed", failed_screen(groups=[GroupRow(FailureGroup(LONG, EVIL, 12_345_678, NOW, NOW, ".."), EVIL * 3, LONG)])),
        "failed-many-groups": Shown("failed", failed_screen(groups=MANY_GROUPS, groups_more=True)),
        "failed-looks-only": Shown("failed", failed_screen(groups=GROUPS, acts=False), looks_only),
        "failed-plain": Shown("failed", failed_screen(view="jobs", jobs=FAILED, total=None, searchable=False, next="3", page=2, queues={})),
        "failed-none": Shown("failed", failed_screen(total=0, queues={}), {"nav_failed": 0}),
        "failed-no-match": Shown("failed", failed_screen(total=0, form=FilterForm(text="nothing like it"))),
        "failed_job": Shown("failed_job", failed_job(FAILED[0])),
        "failed_job-replaced": Shown("failed_job", failed_job(FAILED[1], replaced=True, traceback="", payload=NOTHING, headers={}, pushed_at=None)),
        "failed_job-evil": Shown("failed_job", failed_job(EVIL_FAILED[0], traceback=EVIL * 20, payload=RAW, headers={EVIL: LONG})),
        "failed_job-looks-only": Shown("failed_job", failed_job(FAILED[2], acts=False), looks_only),
        "confirm-retry": Shown("confirm", Confirmation("retry", FilterForm(kind="SMTPServerDisconnected", within="day"), (), 10_000, True, NOW, [])),
        "confirm-forget": Shown("confirm", Confirmation("forget", FilterForm(), ("a/b\r\nc", *(view.id for view in FAILED * 4)), 17, False, None, []), {"query": {"back": "view=jobs&queue=default"}}),
        "confirm-flush": Shown("confirm", Confirmation("flush", FilterForm(), (), 27, False, None, [])),
        "confirm-evil": Shown("confirm", Confirmation("forget", EVIL_FORM, (), None, False, NOW, [EVIL]), {"query": {"back": EVIL}}),
        "confirm-none": Shown("confirm", Confirmation("retry", FilterForm(), ("gone",), 0, False, None, [])),
        "progress": Shown("progress", Progress("retry", 12_000, 3, FilterForm(kind="SMTPServerDisconnected"), NOW, "cursor", "view=groups&queue=default"), {"read_at": None}),
        "progress-flush": Shown("progress", Progress("flush", 12_000, 0, FilterForm(), None, "cursor", ""), {"read_at": None}),
        "workers": Shown("workers", WorkersScreen(WORKERS, TONES, True, 28, 18, ["nightly"], [])),
        "workers-evil": Shown("workers", WorkersScreen([WorkerView(EVIL, LONG, 2**31, (EVIL, LONG), 10**6, before(days=900), NOW, AWFUL * 3)], {EVIL: "good"}, True, 10**6, 9, [EVIL], [EVIL])),
        "workers-none": Shown("workers", WorkersScreen([], {}, True, 0, 0, [], [])),
        "workers-unknown": Shown("workers", WorkersScreen([], {}, False, 0, 0, [], [])),
        "charts": Shown("charts", ChartsScreen(None, ["critical", "default", "emails"], "day", day, [])),
        "charts-evil": Shown("charts", ChartsScreen(EVIL, [LONG], "hour", (throughput(), latency(EVIL, 4000.0)), [EVIL])),
        "charts-none": Shown("charts", ChartsScreen(None, [], "hour", (), [])),
        "health": Shown("health", HEALTH),
        "health-evil": Shown("health", HealthScreen("warn", EVIL, [HealthCheck(EVIL, "warn", EVIL, LONG)], [EVIL])),
        "health-none": Shown("health", HealthScreen("idle", "There is nothing to check", [], [])),
        "error": Shown("error", Refused(403, "This dashboard answers this computer only", "You are at 203.0.113.9.\n\nGive it `authorize=` to let others in:\n\n    dashboard(inspector, authorize=is_admin)"), {"read_at": None, "nav_failed": None}),
        "error-evil": Shown("error", Refused(400, EVIL, LONG + EVIL), {"read_at": None}),
    }  # fmt: skip


LIVE = ("overview", "queue", "failed", "workers", "charts", "health")


class Gallery:
    """Renders the examples as they would be at `/admin/queues/`, with what surrounds them."""

    def __init__(self) -> None:
        self.app = Quart(__name__)
        self.app.register_blueprint(dashboard(MemoryInspector(Stats())), url_prefix="/admin")
        self._environment = make_environment(Assets().url)

    async def page(self, name: str, **around: Any) -> str:
        """Return one example as a page."""
        one = shown()[name]
        async with self.app.test_request_context("/admin/queues/"):
            return render(self._environment, one.page, self._context(one, around))

    async def parts(self, name: str) -> dict[str, str]:
        """Return the parts of an example that its page refreshes."""
        one = shown()[name]
        async with self.app.test_request_context("/admin/queues/"):
            return render_parts(self._environment, one.page, self._context(one, {}))

    def _context(self, one: Shown, around: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "screen": one.screen, "page": one.page, "title": "lagoqueue", "environment": "production",
            "viewer": Viewer(Access.FULL, "ada@example.org"), "csrf": TOKEN, "theme": "", "query": {}, "query_string": "",
            "nav_failed": 27, "nav_failed_more": False, "live": f"/admin/queues/api/live/{one.page}" if one.page in LIVE else None,
            "every": 5.0, "read_at": before(seconds=2), "stale": False, "flash": None, **one.around, **around,
        }  # fmt: skip


async def rendered(**around: Any) -> dict[str, str]:
    """Return every example as a page, by name."""
    gallery = Gallery()
    return {name: await gallery.page(name, **around) for name in shown()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write every example as a page; stylesheet and script are not in it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", choices=("", "light", "dark"), default="")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, html in asyncio.run(rendered(theme=given.theme)).items():
        (given.folder / f"{name}.html").write_text(html, "utf-8")
