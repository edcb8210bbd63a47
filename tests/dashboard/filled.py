"""A queue in memory with something of everything in it, for pages to show."""

from __future__ import annotations

from lagoqueue import Job, MemoryQueue
from lagoqueue.failure import Failure
from lagoqueue.monitor import History, MemoryInspector, Stats

AWKWARD = ("plain", "with/slash", "..", "a b%20c?d=e&f#g", "ünïcode-\u202e", "x" * 200)
"""Ids of the failed jobs."""


async def filled() -> MemoryInspector:
    """Return the inspector of a queue with jobs in every state."""
    queue = MemoryQueue()
    for number in range(60):
        await queue.push(Job(id=f"mail-{number}", name="SendMail", payload=b'{"to": "ada"}', queue="mail"))
    await queue.push(Job(id="later", name="Report", payload=b"{}", queue="bulk / slow?"), delay=3600)
    await queue.pop(labels=["mail"])
    for number, job_id in enumerate(AWKWARD):
        job = Job(id=job_id, name="SendMail", payload=b'{"to": "bob"}', queue="mail", attempts=3)
        kind = "Refused" if number % 2 else "Timeout"
        await queue.failed_jobs.record(job, "mail", Failure(kind, f"{kind}: no answer"))
    return MemoryInspector(Stats(), queue.failed_jobs, queue=queue, history=History())
