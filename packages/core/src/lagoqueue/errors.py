"""Every error that lagoqueue raises, in one tree below `LagoqueueError`.

The message says what happened, names the value and gives the way out; attributes carry the data.
`Retry`, `Fail` and `Snooze` are not errors: a handler raises them to say how its job ends.
"""

from __future__ import annotations

from datetime import timedelta


class LagoqueueError(Exception):
    """Base of every error that lagoqueue raises on purpose."""


# --- Queues -----------------------------------------------------------------------------------


class QueueEmpty(LagoqueueError):
    """No job came due within the wait that `pop` was given."""


class QueueClosed(LagoqueueError):
    """The queue was closed; open a new one to go on."""


class DuplicateJob(LagoqueueError, ValueError):
    """A job with this id is already in the queue, so nothing was pushed."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id!r} is already in the queue; push it under another id, "
            "or pass exist_ok=True to keep the one that is there"
        )
        self.job_id = job_id

    def __reduce__(self) -> tuple[type[DuplicateJob], tuple[str]]:
        return type(self), (self.job_id,)


class ReservationLost(LagoqueueError):
    """The reservation ended (settled, expired or taken over), so the job is no longer ours."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the reservation of job {job_id!r} is gone: it was settled before, or its visibility "
            "timeout passed and the job went to another worker; nothing was changed"
        )
        self.job_id = job_id

    def __reduce__(self) -> tuple[type[ReservationLost], tuple[str]]:
        return type(self), (self.job_id,)


class DriverError(LagoqueueError):
    """The store behind a queue refused or could not be reached; `__cause__` holds its own error."""


class OutcomeUnknown(DriverError):
    """The connection was lost while the store was answering, so what was asked may or may not have been done.

    Every operation of a queue may be repeated: a push with the same id and `exist_ok=True`.
    """


class SchemaMissing(DriverError):
    """The queue's tables are not there."""


class SchemaTooNew(DriverError):
    """The queue's tables were made by a newer version than the one that runs."""


# --- Input ------------------------------------------------------------------------------------


class InvalidValue(LagoqueueError, ValueError):
    """A setting or argument is outside what it may be."""


class InvalidJob(LagoqueueError, ValueError):
    """A job's id, name, queue, priority or headers cannot be stored."""


class JobNameError(LagoqueueError, TypeError):
    """A payload type has no stable name to route by."""


class PayloadError(LagoqueueError, ValueError):
    """Base of the two ways in which a payload and its bytes do not fit."""


class PayloadEncodeError(PayloadError):
    """The payload cannot be written as JSON."""


class PayloadDecodeError(PayloadError):
    """The bytes of a job do not decode into the type that its handler takes."""


# --- Workers ----------------------------------------------------------------------------------


class HandlerError(LagoqueueError, TypeError):
    """A handler cannot be registered as it is."""


class DuplicateHandler(LagoqueueError, ValueError):
    """Two handlers were registered for one job name."""


class UnknownJob(LagoqueueError, LookupError):
    """No handler is registered for the name of a job."""


class AttemptsExhausted(LagoqueueError):
    """A job came back with its attempts already spent: the workers that ran it died."""


class HandlerTimeout(LagoqueueError, TimeoutError):
    """A handler ran longer than its `timeout` and was cancelled."""


class WorkerRunning(LagoqueueError, RuntimeError):
    """`run` was called on a worker that is already running."""


# --- Looking and failed jobs --------------------------------------------------------------------


class JobNotFound(LagoqueueError, KeyError):
    """No live job has this id: none waits under it, and none is reserved."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"there is no live job {job_id!r}: it is done, it failed (see failed_jobs), or never was there"
        )
        self.job_id = job_id

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[JobNotFound], tuple[str]]:
        return type(self), (self.job_id,)


class FailedJobNotFound(LagoqueueError, KeyError):
    """The failed-jobs store holds nothing under this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no failed job {job_id!r}: it was retried, forgotten or never there")
        self.job_id = job_id

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[FailedJobNotFound], tuple[str]]:
        return type(self), (self.job_id,)


class ReadOnly(LagoqueueError):
    """The inspector has no failed-jobs store to act on."""


# --- How a handler ends its job -----------------------------------------------------------------


class Retry(Exception):
    """Raise it to run the job again `after` seconds (default: the backoff). Spends an attempt."""

    def __init__(self, after: float | timedelta | None = None, reason: str = "the handler asked for a retry") -> None:
        super().__init__(reason)
        self.after = after


class Fail(Exception):
    """Raise it to fail the job at once, whatever attempts are left."""

    def __init__(self, reason: str = "the handler failed the job") -> None:
        super().__init__(reason)


class Snooze(Exception):
    """Raise it to put the job off by `delay` seconds. Spends no attempt."""

    def __init__(self, delay: float | timedelta) -> None:
        super().__init__(f"snoozed for {delay}")
        self.delay = delay
