"""Background jobs: typed payloads, queues with fenced reservations, workers with retries."""

from __future__ import annotations

from lagoqueue._codec import new_id
from lagoqueue._time import Seconds
from lagoqueue.backoff import exponential
from lagoqueue.current import current_job
from lagoqueue.dispatch import dispatch, dispatch_after, dispatch_many, dispatch_sync
from lagoqueue.errors import (
    AttemptsExhausted,
    DriverError,
    DuplicateHandler,
    DuplicateJob,
    Fail,
    FailedJobNotFound,
    HandlerError,
    HandlerTimeout,
    InvalidJob,
    InvalidValue,
    JobNameError,
    JobNotFound,
    LagoqueueError,
    OutcomeUnknown,
    PayloadDecodeError,
    PayloadEncodeError,
    PayloadError,
    QueueClosed,
    QueueEmpty,
    ReadOnly,
    ReservationLost,
    Retry,
    SchemaMissing,
    SchemaTooNew,
    Snooze,
    UnknownJob,
    WorkerRunning,
)
from lagoqueue.failure import Failure
from lagoqueue.handlers import Handlers
from lagoqueue.job import Job, job_name
from lagoqueue.memory import MemoryQueue
from lagoqueue.observer import Observer
from lagoqueue.queue import Keeper, Producer, Queue, Settlement, SyncProducer, Turn, WorkerInfo
from lagoqueue.runner import run_until_signal
from lagoqueue.worker import Worker

__all__ = [
    "AttemptsExhausted",
    "DriverError",
    "DuplicateHandler",
    "DuplicateJob",
    "Fail",
    "FailedJobNotFound",
    "Failure",
    "HandlerError",
    "HandlerTimeout",
    "Handlers",
    "InvalidJob",
    "InvalidValue",
    "Job",
    "JobNameError",
    "JobNotFound",
    "Keeper",
    "LagoqueueError",
    "MemoryQueue",
    "Observer",
    "OutcomeUnknown",
    "PayloadDecodeError",
    "PayloadEncodeError",
    "PayloadError",
    "Producer",
    "Queue",
    "QueueClosed",
    "QueueEmpty",
    "ReadOnly",
    "ReservationLost",
    "Retry",
    "SchemaMissing",
    "SchemaTooNew",
    "Seconds",
    "Settlement",
    "Snooze",
    "SyncProducer",
    "Turn",
    "UnknownJob",
    "Worker",
    "WorkerInfo",
    "WorkerRunning",
    "current_job",
    "dispatch",
    "dispatch_after",
    "dispatch_many",
    "dispatch_sync",
    "exponential",
    "job_name",
    "new_id",
    "run_until_signal",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata  # a third of what importing this package would take

        return metadata.version("lagoqueue-core")
    raise AttributeError(f"module 'lagoqueue' has no attribute {name!r}")
