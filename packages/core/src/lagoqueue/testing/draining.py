"""`drain`: run what is due, as a test wants it: to the end, and loud."""

from __future__ import annotations

from dataclasses import dataclass, field

from lagoqueue.errors import Retry, UnknownJob
from lagoqueue.job import Job
from lagoqueue.observer import Observer
from lagoqueue.worker import Worker


@dataclass
class DrainReport:
    """What became of each delivery of a `drain`, in the order in which they ended.

    Attributes:
        processed: Jobs that were acknowledged.
        retried: Jobs that failed in this attempt and have another.
        failed: Jobs that failed for good.
        released: Jobs that went back without spending an attempt.
        lost: Jobs whose reservation was lost meanwhile.
        errors: What the handlers raised, and why other jobs failed or found no handler.
    """

    processed: list[Job] = field(default_factory=list)
    retried: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    released: list[Job] = field(default_factory=list)
    lost: list[Job] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


async def drain(worker: Worker, *, raise_errors: bool = True) -> DrainReport:
    """Run a worker until nothing is due in its queue and nothing is running, and raise its errors.

    A job that failed and is retried later by its backoff stays in the queue, delayed; its error is
    raised all the same. With `backoff=0` all its attempts are made.

    Args:
        worker: Not running. It may be drained again.
        raise_errors: False to look at the report's `errors` instead.

    Raises:
        BaseException: The one error of a handler, itself; several in an ExceptionGroup. `Retry`
            and `Snooze` are no errors; `Fail`, an undecodable payload and a job without a handler
            are.
    """
    report = DrainReport()
    recorder = _Recorder(report, worker)
    worker.observe(recorder)
    try:
        await worker.run(burst=True)
    finally:
        worker.unobserve(recorder)
    if raise_errors and report.errors:
        if len(report.errors) == 1:
            raise report.errors[0]
        raise BaseExceptionGroup("several jobs failed", report.errors)
    return report


class _Recorder(Observer):
    def __init__(self, report: DrainReport, worker: Worker) -> None:
        self._report = report
        self._worker = worker

    def processed(self, job: Job, seconds: float) -> None:
        self._report.processed.append(job)

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self._report.retried.append(job)
        if not isinstance(error, Retry):
            self._report.errors.append(error)

    def failed(self, job: Job, error: BaseException) -> None:
        self._report.failed.append(job)
        self._report.errors.append(error)

    def released(self, job: Job, delay: float) -> None:
        self._report.released.append(job)
        names = self._worker.handlers.names()
        if job.name not in names:  # in a test that is a mistake, not a rolling deploy
            known = ", ".join(names) or "none"
            self._report.errors.append(UnknownJob(f"no handler for job {job.id!r} named {job.name!r}; known: {known}"))

    def lost(self, job: Job) -> None:
        self._report.lost.append(job)
