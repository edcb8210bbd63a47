"""What must hold of a scenario, read off its journal and off what is left in the database.

The invariants are I1 to I8 of the page on reliability. A breach names the one that it is of, and the job; the report shows
that job's whole history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import msgspec

from tests.faults.journal import Event, What

SETTLED = (What.PROCESSED, What.RETRIED, What.RELEASED, What.FAILED)
SLACK = 5.0
"""Seconds beyond visibility timeout and poll until a job must be claimed again: what the machine may take."""

CLOCKS = 0.01
"""Seconds by which the clock of a server, which is set by others, may run ahead of the journal's."""


class Breach(NamedTuple):
    """What does not hold: of which invariant, of which job, if of one, and in words."""

    invariant: str
    job: str
    text: str


@dataclass(frozen=True)
class Rules:
    """What a scenario's settings promise.

    Attributes:
        lease: Seconds for which a job stays with a worker that does not beat.
        poll: Seconds between two looks of an idle worker.
        max_retry: Attempts that a job gets.
        counted: Whether the counters must agree too: a process that is killed takes its last second's with it.
        overlap: Whether two deliveries may run at once although nobody was silent: where the fault hits the keeper as well.
        waiting: Whether jobs may have to wait for a free worker, so that their time is not looked at.
    """

    lease: float
    poll: float
    max_retry: int
    counted: bool = False
    overlap: bool = False
    waiting: bool = False

    @property
    def longest(self) -> float:
        """Seconds within which a job that can be claimed is claimed."""
        return self.lease + self.poll + SLACK


@dataclass(frozen=True)
class Left:
    """What is in the database at the end."""

    jobs: Sequence[str]
    failed: Sequence[str]
    totals: dict[str, int] = field(default_factory=dict)


class Delivery(msgspec.Struct):
    """A job in a worker's hands."""

    claimed: Event
    began: Event | None = None
    ended: Event | None = None
    settled: Event | None = None  # as the worker reported it: accepted, or lost
    over: float = float("inf")
    """When nothing of it can run any more: the handler has ended, or the process."""

    @property
    def accepted(self) -> bool:
        return self.settled is not None and self.settled.what in SETTLED

    @property
    def row(self) -> str:
        """The row that was delivered: a job that is stored once more has another one."""
        return self.claimed.receipt.partition("-")[0]


class Wait(NamedTuple):
    """How long a job that could be claimed waited until it was, how long it may have, and whether it had been claimed before."""

    job: str
    seconds: float
    allowed: float
    again: bool


class Record:
    """The journal, sorted by jobs and processes."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = sorted(events, key=lambda event: event.at)
        self.of_job: dict[str, list[Event]] = defaultdict(list)
        self.deaths: dict[int, float] = {}
        self.silences: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self.outages: list[tuple[float, float]] = []
        self.deliveries: dict[str, list[Delivery]] = defaultdict(list)
        self._of_process: dict[int, list[Delivery]] = defaultdict(list)
        for event in self.events:
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.job:
            self.of_job[event.job].append(event)
        match event.what:
            case What.CLAIMED:
                self._begin(event)
            case What.BEGAN | What.ENDED | What.LOST | What.PROCESSED | What.RETRIED | What.RELEASED | What.FAILED:
                self._continue(event)
            case What.KILLED | What.STOPPED:
                self.deaths[event.pid] = event.at
                for delivery in self._of_process[event.pid]:
                    delivery.over = min(delivery.over, event.at)
            case What.SILENCED:
                self.silences[event.pid].append((event.at, float("inf")))
            case What.WOKEN:
                self.silences[event.pid][-1] = (self.silences[event.pid][-1][0], event.at)
            case What.AWAY:
                self.outages.append((event.at, float("inf")))
            case What.BACK:
                self.outages[-1] = (self.outages[-1][0], event.at)

    def _begin(self, event: Event) -> Delivery:
        delivery = Delivery(event)
        self.deliveries[event.job].append(delivery)
        self._of_process[event.pid].append(delivery)
        return delivery

    def _continue(self, event: Event) -> None:
        """Note it with its delivery. A worker may run and settle a job before it could note that it was claimed."""
        for delivery in reversed(self.deliveries[event.job]):
            if delivery.claimed.receipt == event.receipt and delivery.claimed.pid == event.pid:
                break
        else:
            delivery = self._begin(event)
        if event.what is What.BEGAN:
            delivery.began = event
        elif event.what is What.ENDED:
            delivery.ended = event
            delivery.over = event.at
        else:
            delivery.settled = event

    def rows(self, job: str) -> list[list[Delivery]]:
        """The deliveries of a job, those of each row by themselves."""
        rows: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in self.deliveries[job]:
            rows[delivery.row].append(delivery)
        return list(rows.values())

    def silent_for(self, pid: int, since: float, until: float) -> float:
        """How long a process was silent, at most, before `until`, in a silence that was not over at `since`."""
        silences = [(begin, end) for begin, end in self.silences[pid] if begin < until and end > since]
        return max((min(until, end) - begin for begin, end in silences), default=0.0)

    def get_on_from(self, at: float) -> float:
        """When somebody could go on with what became possible at `at`: later, if nobody could just then."""
        for begin, end in self.outages:
            if begin - SLACK <= at <= end:
                at = max(at, end)
        return at

    def fell_out(self, since: float, until: float) -> bool:
        """Tell whether meanwhile a process died or was silent, or nobody could get on: it may have had a job unseen."""
        if any(since < event.at < until for event in self.events if event.what is What.KILLED):
            return True
        spells = [*self.outages, *(spell for several in self.silences.values() for spell in several)]
        return any(begin < until and end > since for begin, end in spells)

    def history(self, job: str) -> str:
        """What is known of a job, and what befell the processes that had it."""
        mine = self.of_job[job]
        pids = {event.pid for event in mine}
        around = [
            event
            for event in self.events
            if not event.job and (event.pid in pids or event.what in (What.AWAY, What.BACK, What.FAULT))
        ]
        first = self.events[0].at if self.events else 0.0
        lines = sorted([*mine, *around], key=lambda event: event.at)
        return "\n".join(str(msgspec.structs.replace(event, at=event.at - first)) for event in lines)


def waits(record: Record, rules: Rules) -> Iterator[Wait]:
    """How long each job waited for each of its claims.

    A claim of which its process died before it could note it shows in the attempts of the next, and has had a lease of its own.
    """
    for job, events in record.of_job.items():
        pushed = next((event.at for event in events if event.what is What.PUSHED), None)
        if pushed is None:
            continue
        delay = next(float(event.note or 0) for event in events if event.what is What.PUSHING)
        due = pushed + delay
        free, before = [due], 0
        for number, delivery in enumerate(record.deliveries[job]):
            claimed = delivery.claimed
            ready = record.get_on_from(max((at for at in free if at <= claimed.at), default=claimed.at))
            unseen = max(0, claimed.attempts - before - 1)
            yield Wait(job, claimed.at - ready, rules.longest * (1 + unseen), again=number > 0)
            before = claimed.attempts
            free = [claimed.at, delivery.over, *(begin for begin, _ in record.silences[claimed.pid])]
            if delivery.settled is not None and delivery.settled.what in (What.RETRIED, What.RELEASED):
                free.append(delivery.settled.at + float(delivery.settled.note))
                before -= delivery.settled.what is What.RELEASED
            elif delivery.accepted:  # what comes now was stored again, at the latest when its push returned
                free, before = [*free, pushed], 0


def check(record: Record, left: Left, rules: Rules) -> list[Breach]:
    """Return every breach of I1 to I7; I8 is of a process, and seen when it is stopped."""
    breaches: list[Breach] = []
    for invariant in (no_loss, no_phantom, fence, exclusion, progress, patience, attempts, conservation):
        breaches += invariant(record, left, rules)
    return breaches


def killed_with_jobs(record: Record) -> int:
    """How many processes were killed with jobs in hand."""
    killed = {event.pid for event in record.events if event.what is What.KILLED}
    unsettled = (each.claimed.pid for several in record.deliveries.values() for each in several if each.settled is None)
    return len(killed.intersection(unsettled))


def figures(record: Record, rules: Rules) -> str:
    """What a run has seen, in one line."""
    count = Counter(event.what for event in record.events)
    again = [(wait.seconds, wait.allowed) for wait in waits(record, rules) if wait.again]
    seconds, allowed = max(again, key=lambda wait: wait[0] / wait[1], default=(0.0, rules.longest))
    done = len({event.job for event in record.events if event.what is What.ENDED and not event.note})
    return (
        f"{count[What.PUSHED]} jobs pushed, {done} done, {count[What.FAILED]} failed; "
        f"{count[What.KILLED]} processes killed, {killed_with_jobs(record)} of them with jobs; "
        f"{len(again)} jobs claimed again, after {seconds:.2f} s at most where {allowed:.2f} s are allowed; "
        f"{count[What.LOST]} settlements of a lost reservation refused"
    )


# --- The invariants -------------------------------------------------------------------------------


def no_loss(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I1: a job whose push returned was run to its end, or is a failed job."""
    failed = set(left.failed)
    for job, events in record.of_job.items():
        if any(event.what is What.PUSHED for event in events):
            done = any(_well(delivery) for delivery in record.deliveries[job])
            if not done and job not in failed:
                yield Breach("I1", job, "was pushed, and has neither run to its end nor failed")


def no_phantom(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I2: what ran, and what is left, was pushed."""
    meant = {event.job for event in record.events if event.what is What.PUSHING}
    refused = {event.job for event in record.events if event.what is What.DUPLICATE}
    there = {*record.deliveries, *left.jobs, *left.failed}
    for job in there - meant:
        yield Breach("I2", job, "was never pushed")
    again = {event.job for event in record.events if event.what is What.PUSHED and event.note}
    for job in record.deliveries.keys() - again:
        if (times := len(record.rows(job))) > 1:  # else its first row may have been done before it was pushed again
            yield Breach("I2", job, f"was stored {times} times, though no push of it had an unknown outcome")
    for job in there & refused:
        yield Breach("I2", job, "is there, although its push was refused as that of a duplicate")


def fence(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I3: no settlement is accepted from a delivery after which there was another."""
    for job in record.deliveries:
        for row in record.rows(job):
            for delivery in row:
                if delivery.accepted and (other := _had_by_then(delivery, row)) is not None:
                    what, receipt = delivery.settled and delivery.settled.what, delivery.claimed.receipt
                    yield Breach(
                        "I3", job, f"{what} was accepted of {receipt}, although {other.claimed.receipt} had the job"
                    )


def _had_by_then(delivery: Delivery, row: Sequence[Delivery]) -> Delivery | None:
    """Return another delivery that had the job before this one was settled.

    What is taken off cannot be claimed any more, so then it is whichever came later; else one that came before the handler
    had ended.
    """
    assert delivery.settled is not None
    off = delivery.settled.what in (What.PROCESSED, What.FAILED)
    until = float("inf") if off else delivery.ended.at if delivery.ended is not None else 0.0
    for other in row:
        if other.claimed.attempts > delivery.claimed.attempts and other.claimed.at < until:
            return other
    return None


def exclusion(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I4: nobody gets a job while another runs it, unless that one's process was silent for its lease.

    A process that was stopped between its claim and its note of it notes it late, so attempts tell who was first.
    """
    for job, row in [(name, row) for name in record.deliveries for row in record.rows(name)]:
        for first, second in pairwise(sorted(row, key=lambda each: each.claimed.attempts)):
            at = second.claimed.at
            if first.began is None or first.over <= at or rules.overlap:
                continue
            pid = first.claimed.pid
            if record.silent_for(pid, min(first.claimed.at, at), at) < 0.9 * rules.lease:
                yield Breach("I4", job, f"was claimed again while process {pid}, which was not silent, ran it")


def progress(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I5: what can be claimed is claimed within lease + poll + 5 s."""
    if not rules.waiting:
        for job, seconds, allowed, _ in waits(record, rules):
            if seconds > allowed:
                yield Breach("I5", job, f"waited {seconds:.1f} s to be claimed; {allowed:.1f} s are allowed")


def patience(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I5 again: what was put back with a delay is not claimed before that is over. It begins when the handler has ended."""
    for job, several in record.deliveries.items():
        for first, second in pairwise(several):
            if first.ended is None or first.settled is None or first.settled.what not in (What.RETRIED, What.RELEASED):
                continue
            early = first.ended.at + float(first.settled.note) - second.claimed.at
            if early > CLOCKS and second.claimed.at > first.ended.at:
                yield Breach("I5", job, f"was claimed {early:.3f} s before it was due again")


def attempts(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I6: no handler runs in an attempt beyond the last, each delivery but a released one counts, and a job fails once.

    What is not delivered does not count, unless a process died, or was cut off, that may have had it.
    """
    for job, row in [(name, row) for name in record.deliveries for row in record.rows(name)]:
        seen: list[int] = []
        before, since = 0, 0.0
        for delivery in row:
            number = delivery.claimed.attempts
            if delivery.began is not None and number > rules.max_retry:
                yield Breach("I6", job, f"ran in attempt {number} of {rules.max_retry}")
            if number > before + 1 and not record.fell_out(since, delivery.claimed.at + rules.longest):
                yield Breach("I6", job, f"came in attempt {number} after {before}, though nobody can have had it")
            before, since = max(before, number), delivery.claimed.at
            if delivery.settled is not None and delivery.settled.what is What.RELEASED:
                before = number - 1
            else:
                seen.append(number)
        if len(set(seen)) != len(seen):
            yield Breach("I6", job, f"attempts were counted {seen}")
    for job in [job for job, times in Counter(left.failed).items() if times > 1]:
        yield Breach("I6", job, "is a failed job more than once")


def conservation(record: Record, left: Left, rules: Rules) -> Iterator[Breach]:
    """I7: what was pushed is done, failed or waiting, and only one of them; the counters agree.

    Of what no worker has taken off one may have died before it could say so, or may not have known it any more: one that
    does not learn for half a lease that its job is gone cannot tell who has taken it off.
    """
    failed, waiting = set(left.failed), set(left.jobs)
    for job, several in record.deliveries.items():
        done = any(each.settled and each.settled.what is What.PROCESSED for each in several)
        places = [
            name for name, there in (("done", done), ("failed", job in failed), ("waiting", job in waiting)) if there
        ]
        if len(places) > 1:
            yield Breach("I7", job, f"is {' and '.join(places)}")
        ended = [each for each in several if each.ended is not None]
        told = [each for each in ended if each.settled and each.settled.at - each.ended.at < rules.lease / 2]  # type: ignore[union-attr]
        if not places and any(map(_well, ended)) and told == ended:
            yield Breach("I7", job, "is gone, and no worker was told that it has taken it off")
    if rules.counted:
        pushed = len({event.job for event in record.events if event.what is What.PUSHED})
        expected = {"pushed": pushed, "processed": pushed - len(failed), "failed": len(failed)}
        counted = {name: left.totals.get(name, 0) for name in expected}
        if counted != expected:
            yield Breach("I7", "", f"the counters say {counted} where it was {expected}")


def _well(delivery: Delivery) -> bool:
    """Tell whether its handler has run to its end."""
    return delivery.ended is not None and not delivery.ended.note
