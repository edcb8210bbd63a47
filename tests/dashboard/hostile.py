"""Texts that try to be more than text, and a world that has them wherever a text from outside can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor import DetailedInspector, HealthCheck, Inspector, JobView, WorkerView
from tests.dashboard.worlds import Watch, World

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "x' onmouseover='alert(1)",
    'x" autofocus onfocus="alert(1)" y="',
    "</title></textarea></script></pre></code><xss>",
    "--><xss a=b>",
    "javascript:alert(1)",
    "//evil.example/x",
    "{{ 7 * 7 }}{% raw %}{# x #}",
    "&lt;b&gt;&amp;&#60;i&#62;",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "\u202e<b>txt.exe",
    "\uff1cscript\uff1e\u2028alert(1)\u2029",
    "<\x1bscript>\x07",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "a=b;c=d&e=f#g?h",
]


class Hostile:
    """What a world with one text in every place looks like.

    Args:
        world: Gets jobs in every state, with the text in each of their fields.
        text: At most 60 characters.
    """

    def __init__(self, world: World, text: str) -> None:
        self.world = world
        self.text = text
        self.failed_id = f"f {text}"
        self.live_id = f"w {text}"

    async def inspector(self) -> Inspector:
        """Fill the world, and return an inspector of it that knows workers and checks, too."""
        text, payload = self.text, msgspec.json.encode({self.text: [self.text, {"deep": self.text}]})
        headers = {text: text}
        await self.world.queue.push(Job(self.live_id, f"J{text}", payload, queue=f"Q{text}", headers=headers))
        await self.world.queue.push(Job("late", f"J{text}", payload, queue=f"Q{text}"), delay=3600)
        await self.world.queue.push(Job("runs", f"J{text}", payload, queue="other"))
        await self.world.queue.pop(labels=["other"])
        failure = Failure(f"K{text}", f"K{text}: {text}", f'Traceback:\n  File "{text}", line 1\n    {text}\nK: {text}')
        for job_id, raw in ((self.failed_id, payload), ("raw", b"no JSON " + text.encode())):
            job = Job(job_id, f"J{text}", raw, queue=f"Q{text}", headers=headers, attempts=3)
            await self.world.failed_jobs.record(job, f"Q{text}", failure)
        watch = Watch(self.world.inspector)
        found = cast("DetailedInspector", watch.inspector)
        view = JobView(self.live_id, f"Q{text}", f"J{text}", 1, state="reserved", reserved_at=NOW, worker=text)

        async def workers(_: object = None) -> list[WorkerView]:
            return [WorkerView(text, f"H{text}", 1, (f"Q{text}", text), 2, NOW, NOW, [view])]

        async def health(_: object = None) -> list[HealthCheck]:
            return [HealthCheck(f"N{text}", level, f"F{text}", f"R{text}") for level in ("good", "warn", "bad")]

        type(found).workers = workers  # type: ignore[method-assign,assignment]
        type(found).health = health  # type: ignore[method-assign,assignment]
        return watch.inspector

    @property
    def pages(self) -> list[tuple[str, dict[str, Any]]]:
        """Every page, with the text in its parameters where it takes any."""
        text = self.text
        return [
            ("/", {}),
            ("/queue", {"name": f"Q{text}"}),
            ("/queue", {"name": f"Q{text}", "state": "delayed"}),
            ("/queue", {"name": "other", "state": "reserved"}),
            ("/job", {"id": self.live_id}),
            ("/failed", {}),
            ("/failed", {"view": "jobs"}),
            ("/failed", {"page": "1"}),
            ("/failed", {"view": "jobs", "queue": f"Q{text}", "name": f"J{text}", "kind": f"K{text}", "text": text}),
            ("/failed", {"view": "groups", "id": text}),
            ("/failed/job", {"id": self.failed_id}),
            ("/failed/job", {"id": "raw"}),
            ("/failed/confirm", {"action": "forget", "ids": self.failed_id.replace("%", "%25"), "back": text}),
            ("/failed/confirm", {"action": "retry", "all": "1", "kind": f"K{text}", "back": text}),
            ("/workers", {}),
            ("/charts", {"queue": f"Q{text}"}),
            ("/health", {}),
        ]

    @property
    def refusals(self) -> list[tuple[str, dict[str, Any]]]:
        """Requests that are answered with the text in the reason why not."""
        text = self.text
        return [
            ("/queue", {"name": f"no {text}"}),
            ("/queue", {"name": f"Q{text}", "state": text}),
            ("/failed", {"page": text}),
            ("/failed", {"after": text, "view": "jobs"}),
            ("/failed", {"view": text}),
            ("/failed", {"within": text}),
            ("/failed/confirm", {"action": text}),
            ("/job", {"id": text}),
            ("/failed/job", {"id": text}),
            ("/charts", {"span": text}),
        ]
