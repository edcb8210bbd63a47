"""The contract as a model: plain dictionaries that say what a driver may answer.

A driver has a choice in one thing: when it notices that a reservation has expired. From its expiry
until it is delivered again, such a job may be treated as waiting (it counts in `size`, takes its
old place in the order, and a late settlement is refused) or as reserved still (it does not count,
later jobs go before it, and a late settlement is accepted). But a pop must not come back empty
while there is one. Everything else has exactly one right answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.queue import Settlement


@dataclass
class Entry:
    """A live job.

    Attributes:
        job: As it was pushed.
        attempts: Deliveries that count.
        available_at: Store's time at which it is due, or was.
        at_once: It was due as soon as it was pushed, so it may come without `available_at`.
        sequence: Its place in push order.
        receipt: Of the present reservation; None while it waits.
        until: When that reservation expires.
    """

    job: Job
    attempts: int
    available_at: float
    at_once: bool
    sequence: int
    receipt: str | None = None
    until: float = 0.0

    def expired(self, now: float) -> bool:
        """May this be treated as waiting, although it is reserved?"""
        return self.receipt is not None and self.until <= now


class Model:
    """What is live, what failed, and which receipts there have been."""

    def __init__(self, visibility_timeout: float, *, gives_attempts_back: bool = True) -> None:
        self.visibility_timeout = visibility_timeout
        self.gives_attempts_back = gives_attempts_back
        self.live: dict[str, Entry] = {}
        self.failed: dict[str, tuple[Job, Failure]] = {}
        self.receipts: set[tuple[str, str]] = set()
        self._pushed = 0

    # --- Push -----------------------------------------------------------------------------------

    def push(self, job: Job, due: float, *, at_once: bool) -> bool:
        """Store a job unless its id is live."""
        if job.id in self.live:
            return False
        self._pushed += 1
        self.live[job.id] = Entry(job, job.attempts, due, at_once, self._pushed)
        return True

    # --- Pop ------------------------------------------------------------------------------------

    def may_be_empty(self, labels: Sequence[str], now: float) -> bool:
        """May a pop find nothing?"""
        return not any(
            entry.available_at <= now if entry.receipt is None else entry.until < now for entry in self._under(labels)
        )

    def may_stop(self, labels: Sequence[str], now: float) -> bool:
        """May a batch end here, with fewer jobs than asked for? Expired ones need not be in it."""
        return not any(entry.receipt is None and entry.available_at <= now for entry in self._under(labels))

    def next_ids(self, labels: Sequence[str], now: float) -> list[str]:
        """Return the ids that may be delivered next, the ready one last."""

        def place(entry: Entry) -> tuple[int, int, float, int]:
            return labels.index(entry.job.queue), -entry.job.priority, entry.available_at, entry.sequence

        ready = [entry for entry in self._under(labels) if entry.receipt is None and entry.available_at <= now]
        first = min(ready, key=place, default=None)
        expired = [entry for entry in self._under(labels) if entry.expired(now)]
        ids = [entry.job.id for entry in expired if first is None or place(entry) < place(first)]
        return ids if first is None else [*ids, first.job.id]

    def deliver(self, popped: Job, labels: Sequence[str], now: float) -> None:
        """Check one popped job and reserve it."""
        may_come = self.next_ids(labels, now)
        assert popped.id in may_come, f"{popped.id!r} was delivered, but next under {labels} is one of {may_come}"
        entry = self.live[popped.id]
        entry.attempts += 1
        pushed = entry.job
        expected = (pushed.name, pushed.payload, pushed.queue, pushed.priority, pushed.headers, entry.attempts)
        got = (popped.name, popped.payload, popped.queue, popped.priority, popped.headers, popped.attempts)
        assert got == expected, f"{popped.id!r} was delivered as {got}, not as {expected}"
        if popped.available_at is None:
            assert entry.at_once, f"{popped.id!r} was delivered without available_at"
        else:
            due = popped.available_at.timestamp()
            assert abs(due - entry.available_at) < 0.01, f"{popped.id!r} was due at {entry.available_at}, not at {due}"
        assert popped.receipt, f"{popped.id!r} was delivered without a receipt"
        assert (popped.id, popped.receipt) not in self.receipts, (
            f"receipt {popped.receipt!r} of {popped.id!r} came twice"
        )
        self.receipts.add((popped.id, popped.receipt))
        entry.receipt = popped.receipt
        entry.until = now + self.visibility_timeout

    # --- Settle ---------------------------------------------------------------------------------

    def must_accept(self, job: Job, now: float) -> bool:
        """Is this the reservation that holds the job, and has it not expired?"""
        return self.may_accept(job) and not self.live[job.id].expired(now)

    def may_accept(self, job: Job) -> bool:
        """Is this the latest reservation of the job, expired or not?"""
        entry = self.live.get(job.id)
        return entry is not None and entry.receipt is not None and entry.receipt == job.receipt

    def extend(self, job: Job, now: float) -> None:
        """Let an accepted reservation run on."""
        self.live[job.id].until = now + self.visibility_timeout

    def settle(self, settlement: Settlement, now: float) -> None:
        """End an accepted reservation."""
        entry = self.live[settlement.job.id]
        if settlement.action == "ack":
            del self.live[entry.job.id]
        elif settlement.action == "fail":
            del self.live[entry.job.id]
            assert settlement.failure is not None
            failed = msgspec.structs.replace(entry.job, attempts=entry.attempts)
            self.failed.pop(entry.job.id, None)
            self.failed[entry.job.id] = (failed, settlement.failure)
        else:
            entry.receipt = None
            entry.available_at = now + settlement.delay
            entry.at_once = False
            if settlement.action == "release" and self.gives_attempts_back:
                entry.attempts -= 1

    # --- Failed jobs ----------------------------------------------------------------------------

    def retry(self, job_id: str, now: float) -> None:
        """Bring a failed job back: a new push of the same job."""
        job, _ = self.failed.pop(job_id)
        self.push(msgspec.structs.replace(job, attempts=0, available_at=None), now, at_once=True)

    # --- Looking --------------------------------------------------------------------------------

    def sizes(self, labels: Sequence[str], now: float) -> tuple[int, int]:
        """Return the least and the most that `size` may say."""
        waiting = sum(entry.receipt is None for entry in self._under(labels))
        return waiting, waiting + sum(entry.expired(now) for entry in self._under(labels))

    def _under(self, labels: Sequence[str]) -> list[Entry]:
        return [entry for entry in self.live.values() if entry.job.queue in labels]
