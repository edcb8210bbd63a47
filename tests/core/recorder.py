"""An observer that writes down what it is told."""

from __future__ import annotations

from lagoqueue import Job, Observer


class Recorder(Observer):
    """`events` holds (event, job name, attempts) in order; `errors` what handlers raised."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int]] = []
        self.errors: list[BaseException] = []
        self.delays: list[float] = []

    def _note(self, event: str, job: Job) -> None:
        self.events.append((event, job.name, job.attempts))

    def names(self) -> list[str]:
        return [event for event, _, _ in self.events]

    def pushed(self, job: Job) -> None:
        self._note("pushed", job)

    def started(self, job: Job) -> None:
        self._note("started", job)

    def processed(self, job: Job, seconds: float) -> None:
        self._note("processed", job)

    def retried(self, job: Job, error: BaseException, delay: float) -> None:
        self._note("retried", job)
        self.errors.append(error)
        self.delays.append(delay)

    def failed(self, job: Job, error: BaseException) -> None:
        self._note("failed", job)
        self.errors.append(error)

    def released(self, job: Job, delay: float) -> None:
        self._note("released", job)
        self.delays.append(delay)

    def lost(self, job: Job) -> None:
        self._note("lost", job)
