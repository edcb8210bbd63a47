"""`QueueMachine`: random histories on a driver, every answer compared with the model's.

::

    class MyMachine(QueueMachine):
        async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
            return MyQueue(clock=clock, visibility_timeout=visibility_timeout)

    TestMyMachine = MyMachine.TestCase
    TestMyMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)

Needs `hypothesis`, which lagoqueue-core does not install.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        Bundle,
        MultipleResults,
        RuleBasedStateMachine,
        invariant,
        multiple,
        precondition,
        rule,
    )
except ImportError as error:
    raise ImportError("lagoqueue.testing.machine needs hypothesis: pip install hypothesis") from error

from lagoqueue.errors import DuplicateJob, FailedJobNotFound, QueueEmpty, ReservationLost
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor.failed import FailedJobs
from lagoqueue.queue import Queue, Settlement
from lagoqueue.testing.clock import ManualClock
from lagoqueue.testing.model import Model

T = TypeVar("T")
Action = Literal["ack", "nack", "release", "fail"]

START = 1_800_000_000.0
LABELS = ("default", "mail", "bulk")

# Few ids and labels, so that they meet; times that binary fractions hold exactly, so that equal means equal.
ids = st.sampled_from("abcdefgh")
label_lists = st.sampled_from(
    [LABELS, ("default",), ("mail", "default"), ("bulk", "mail"), ("bulk", "default", "mail")]
)
delays = st.sampled_from([0.0, 0.0, 0.25, 1.0, 5.0, 30.0])
actions: st.SearchStrategy[Action] = st.sampled_from(["ack", "nack", "release", "fail"])
failures = st.sampled_from(
    [Failure("ValueError", "ValueError: 1", "Traceback"), Failure("KeyError", "KeyError: '\u00e9'")]
)
rests: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"name": "Example", "payload": b"{}"},
        {"name": "Other", "payload": b"\x00\xff", "headers": {"trace": "00-\u00e9'"}},
        {"name": "Example", "payload": b"", "attempts": 3},
    ]
)
jobs_to_push = st.builds(
    lambda job_id, label, priority, rest: Job(id=job_id, queue=label, priority=priority, **rest),
    ids,
    st.sampled_from(["default", "default", "mail", "bulk"]),
    st.sampled_from([0, 0, 0, 1, -1]),
    rests,
)
Due = tuple[Literal["now", "delay", "at", "both"], float]
DUES: list[Due] = [
    ("now", 0.0),
    ("now", 0.0),
    ("delay", 0.0),
    ("delay", 1.0),
    ("delay", 30.0),
    ("at", -60.0),
    ("at", -0.25),
    ("at", 0.0),
    ("at", 2.0),
    ("both", 1.0),
]


class QueueMachine(RuleBasedStateMachine):
    """Push, pop, settle, wait and reopen at random. Define `open_queue`, and `reopen` if durable.

    Attributes:
        visibility_timeout: What the queue is opened with.
        supports_release: False when `release` is the default body, which spends the attempt.
    """

    visibility_timeout: float = 8.0
    supports_release: bool = True

    deliveries = Bundle("deliveries")
    """Every job that was ever popped: stale receipts are tried for ever."""

    # --- The driver's hooks -----------------------------------------------------------------------

    async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
        """Return a fresh, empty queue on a store of its own that lives by `clock`."""
        raise NotImplementedError(f"{type(self).__name__} must define open_queue()")

    async def reopen(self, queue: Queue, clock: ManualClock) -> Queue | None:
        """Close the queue, or drop it as a crash does, and open its store again; None if nothing survives."""
        return None

    # --- Life -------------------------------------------------------------------------------------

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(START)
        self.model = Model(self.visibility_timeout, gives_attempts_back=self.supports_release)
        self.durable = True
        self._failed = False
        self._runner = asyncio.Runner()
        try:
            self.queue = self.run(self.open_queue(self.clock, visibility_timeout=self.visibility_timeout))
        except BaseException:
            self._runner.close()
            raise

    def teardown(self) -> None:
        try:
            if not self._failed:
                self.everything_comes_out_in_the_end()
        finally:
            try:
                self._runner.run(self.queue.close())
            finally:
                self._runner.close()

    def everything_comes_out_in_the_end(self) -> None:
        """Once all delays and reservations are over, every live job is delivered, and nothing else."""
        self.run(self.clock.elapse(1_000.0))
        for _ in range(len(self.model.live) + 1):
            for job in self._pop_many(3, LABELS):
                self.run(self.queue.ack(job))
                self.model.settle(Settlement(job, "ack"), self.now)
        assert not self.model.live, f"never delivered again: {sorted(self.model.live)}"

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in the machine's event loop.

        One loop serves the whole history, as one serves a process.
        """
        try:
            return self._runner.run(coroutine)
        except (DuplicateJob, FailedJobNotFound, QueueEmpty, ReservationLost):
            raise  # an answer, for the rule to judge
        except BaseException:
            self._failed = True
            raise

    @property
    def now(self) -> float:
        """The store's time."""
        return self.clock.time()

    # --- Push -------------------------------------------------------------------------------------

    @rule(job=jobs_to_push, due=st.sampled_from(DUES), exist_ok=st.booleans())
    def push(self, job: Job, due: Due, exist_ok: bool) -> None:
        """One job, due now, after a delay, or at an instant; perhaps under a live id."""
        how, seconds = due
        if how == "at":
            job = msgspec.structs.replace(job, available_at=datetime.fromtimestamp(self.now + seconds, UTC))
        elif how == "both":  # the delay counts
            job = msgspec.structs.replace(job, available_at=datetime.fromtimestamp(self.now - 5.0, UTC))
        delay = seconds if how in ("delay", "both") else None
        live = job.id in self.model.live
        try:
            stored = self.run(self.queue.push(job, delay=delay, exist_ok=exist_ok))
        except DuplicateJob:
            self.expect(live and not exist_ok, f"{job.id!r} was refused as a duplicate")
            return
        self.expect(not live or exist_ok, f"{job.id!r} is live, but was pushed again")
        self.expect(stored is not live, f"push({job.id!r}) said {stored}")
        self.model.push(job, self.now + seconds, at_once=how == "now")

    @rule(jobs=st.lists(jobs_to_push, max_size=5), delay=st.none() | delays)
    def push_many(self, jobs: list[Job], delay: float | None) -> None:
        """A batch in which some ids may be live, or come twice."""
        stored = self.run(self.queue.push_many(jobs, delay=delay, exist_ok=True))
        expected = sum([self.model.push(job, self.now + (delay or 0.0), at_once=delay is None) for job in jobs])
        self.expect(stored == expected, f"push_many said {stored}, not {expected}")

    @rule(job=jobs_to_push, labels=label_lists)
    def push_through_a_view(self, job: Job, labels: Sequence[str]) -> None:
        """A view gives the job its first label."""
        stored = self.run(self.queue.named(*labels).push(job, exist_ok=True))
        expected = self.model.push(msgspec.structs.replace(job, queue=labels[0]), self.now, at_once=True)
        self.expect(stored is expected, f"push through a view said {stored}")

    # --- Pop --------------------------------------------------------------------------------------

    @rule(target=deliveries, labels=label_lists, view=st.booleans())
    def pop(self, labels: Sequence[str], view: bool) -> MultipleResults[Job]:
        """One job, by labels given to pop or through a named view."""
        popping = self.queue.named(*labels).pop() if view else self.queue.pop(labels=labels)
        try:
            job = self.run(popping)
        except QueueEmpty:
            self.expect(self.model.may_be_empty(labels, self.now), "pop found nothing, but there is a job")
            return multiple()
        self.judge(lambda: self.model.deliver(job, labels, self.now))
        return multiple(job)

    @rule(target=deliveries, labels=label_lists, limit=st.integers(1, 6))
    def pop_many(self, labels: Sequence[str], limit: int) -> MultipleResults[Job]:
        """A batch, in pop's order."""
        return multiple(*self._pop_many(limit, labels))

    def _pop_many(self, limit: int, labels: Sequence[str]) -> list[Job]:
        try:
            jobs = self.run(self.queue.pop_many(limit, labels=labels))
        except QueueEmpty:
            self.expect(self.model.may_be_empty(labels, self.now), "pop_many found nothing, but there is a job")
            return []
        self.expect(0 < len(jobs) <= limit, f"pop_many({limit}) returned {len(jobs)} jobs")
        for job in jobs:
            self.judge(lambda job=job: self.model.deliver(job, labels, self.now))
        self.expect(len(jobs) == limit or self.model.may_stop(labels, self.now), "pop_many left due jobs behind")
        return jobs

    # --- Settle -----------------------------------------------------------------------------------

    @rule(
        job=deliveries, action=actions, delay=delays, failure=failures, forged=st.sampled_from([False] * 4 + ["", "1"])
    )
    def settle_any(
        self, job: Job, action: Action, delay: float, failure: Failure, forged: str | Literal[False]
    ) -> None:
        """End a reservation that may be long over, or with a receipt that is made up."""
        if forged is not False:
            job = msgspec.structs.replace(job, receipt=forged or None)
        self._settle(Settlement(job, action, delay, failure))

    @precondition(lambda self: any(entry.receipt for entry in self.model.live.values()))
    @rule(pick=st.integers(0, 9), action=actions, delay=delays, failure=failures)
    def settle_held(self, pick: int, action: Action, delay: float, failure: Failure) -> None:
        """End a reservation that nobody else has taken over."""
        held = [entry for entry in self.model.live.values() if entry.receipt is not None]
        entry = held[pick % len(held)]
        job = msgspec.structs.replace(entry.job, attempts=entry.attempts, receipt=entry.receipt)
        self._settle(Settlement(job, action, delay, failure))

    def _settle(self, settlement: Settlement) -> None:
        job, action = settlement.job, settlement.action
        must, may = self.model.must_accept(job, self.now), self.model.may_accept(job)
        try:
            match action:
                case "ack":
                    self.run(self.queue.ack(job))
                case "nack":
                    self.run(self.queue.nack(job, settlement.delay))
                case "release":
                    self.run(self.queue.release(job, settlement.delay))
                case "fail":
                    self.run(self.queue.fail(job, settlement.failure))
        except ReservationLost:
            self.expect(not must, f"{action} of {job.id!r} was refused, but the reservation is good")
            return
        self.expect(may, f"{action} of {job.id!r} was accepted, but the reservation is over")
        self.model.settle(settlement, self.now)

    @rule(
        jobs=st.lists(deliveries, max_size=5),
        choices=st.lists(actions, min_size=5, max_size=5),
        delay=delays,
        failure=failures,
    )
    def settle_batch(self, jobs: list[Job], choices: list[Action], delay: float, failure: Failure) -> None:
        """Several ends at once, stale ones among them; the lost ones come back, no others."""
        apart = list({(job.id, job.receipt): job for job in jobs}.values())
        batch = [Settlement(job, action, delay, failure) for job, action in zip(apart, choices, strict=False)]
        must = [self.model.must_accept(job, self.now) for job in apart]
        may = [self.model.may_accept(job) for job in apart]
        answer = self.run(self.queue.settle(batch))
        lost = {(job.id, job.receipt) for job in answer}
        self.expect(
            len(lost) == len(answer) and lost <= {(job.id, job.receipt) for job in apart}, f"settle returned {answer}"
        )
        for settlement, must_accept, may_accept in zip(batch, must, may, strict=True):
            job = settlement.job
            if (job.id, job.receipt) in lost:
                self.expect(not must_accept, f"settle lost {job.id!r}, whose reservation is good")
            else:
                self.expect(may_accept, f"settle accepted {job.id!r}, whose reservation is over")
                self.model.settle(settlement, self.now)

    @rule(job=deliveries)
    def extend(self, job: Job) -> None:
        """Stay alive, perhaps too late."""
        must, may = self.model.must_accept(job, self.now), self.model.may_accept(job)
        try:
            self.run(self.queue.extend(job))
        except ReservationLost:
            self.expect(not must, f"extend of {job.id!r} was refused, but the reservation is good")
            return
        self.expect(may, f"extend of {job.id!r} was accepted, but the reservation is over")
        self.model.extend(job, self.now)

    # --- Failed jobs --------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.model.failed))
    @rule(pick=st.integers(0, 7), flush=st.sampled_from([False] * 5 + [True]), forget=st.booleans())
    def empty_failed_jobs(self, pick: int, flush: bool, forget: bool) -> None:
        """Retry or forget one that is there, or drop them all."""
        store = self._failed_jobs()
        if flush:
            dropped = self.run(store.flush())
            self.expect(dropped == len(self.model.failed), f"flush dropped {dropped} of {sorted(self.model.failed)}")
            self.model.failed.clear()
            return
        job_id = list(self.model.failed)[pick % len(self.model.failed)]
        if forget:
            self.run(store.forget(job_id))
            del self.model.failed[job_id]
            return
        try:
            self.run(store.retry(job_id))
        except DuplicateJob:
            self.expect(job_id in self.model.live, f"retry of {job_id!r} met a duplicate, but the id is free")
        else:
            self.expect(job_id not in self.model.live, f"{job_id!r} was retried, although its id is live")
            self.model.retry(job_id, self.now)

    @precondition(lambda self: self.queue.failed_jobs is not None)
    @rule(job_id=ids, forget=st.booleans())
    def miss_failed_jobs(self, job_id: str, forget: bool) -> None:
        """What has not failed, or has left the store, is not found there."""
        if job_id not in self.model.failed:
            store = self._failed_jobs()
            try:
                self.run(store.forget(job_id) if forget else store.retry(job_id))
            except FailedJobNotFound:
                return
            self.expect(False, f"{job_id!r} was found among the failed jobs")

    def _failed_jobs(self) -> FailedJobs:
        assert self.queue.failed_jobs is not None
        return self.queue.failed_jobs

    # --- Time and restarts --------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0, 8.0, 8.25, 40.0]))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.run(self.clock.elapse(seconds))

    @precondition(lambda self: self.durable)
    @rule()
    def reopen_queue(self) -> None:
        """All that was stored is still there, reservations included."""
        reopened = self.run(self.reopen(self.queue, self.clock))
        if reopened is None:
            self.durable = False
        else:
            self.queue = reopened

    # --- What holds after every step ------------------------------------------------------------------

    @invariant()
    def size_is_right(self) -> None:
        """`size` counts what waits, under all labels and under one."""
        self._check_size(LABELS)
        self._check_size(LABELS[:1])

    def _check_size(self, labels: Sequence[str]) -> None:
        least, most = self.model.sizes(labels, self.now)
        size = self.run(self.queue.size(labels=labels))
        self.expect(least <= size <= most, f"size of {labels} is {size}, not {least} to {most}")

    @invariant()
    def failed_jobs_are_right(self) -> None:
        """The failed-jobs store holds what failed, and why."""
        if self.queue.failed_jobs is None:
            self.model.failed.clear()
            return
        records = self.run(self.queue.failed_jobs.list())
        got = {
            record.id: (
                record.kind,
                record.error,
                record.traceback,
                record.queue,
                record.job.payload,
                record.job.attempts,
            )
            for record in records
        }
        expected = {
            job_id: (failure.kind, failure.error, failure.traceback, job.queue, job.payload, job.attempts)
            for job_id, (job, failure) in self.model.failed.items()
        }
        self.expect(got == expected and len(records) == len(got), f"failed jobs are {got}, not {expected}")

    # --- Verdicts -------------------------------------------------------------------------------------

    def expect(self, holds: bool, complaint: str) -> None:
        """Fail the history with `complaint` unless it holds."""
        if not holds:
            self._failed = True
            raise AssertionError(complaint)

    def judge(self, check: Any) -> None:
        """Run a check of the model; its assertion fails the history."""
        try:
            check()
        except AssertionError:
            self._failed = True
            raise
