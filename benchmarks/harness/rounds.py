"""From what subjects answered to the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.processes import Answer, Subject, SubjectFailed, round_robin
from harness.tables import Row, Table, Target, figure


@dataclass(frozen=True)
class Entry:
    """A subject of a table, and what its figure is compared with.

    Attributes:
        subject: What runs.
        against: The name of the subject that the ratio is taken to.
        target: What it is meant to reach.
        percentiles: For latencies: the targets of p50 and p99.
    """

    subject: Subject
    against: str | None = None
    target: Target | None = None
    percentiles: tuple[Target | None, Target | None] = (None, None)


def rates(key: str, title: str, entries: Sequence[Entry], rounds: int, note: str = "") -> Table:
    """Run subjects in turns; return their jobs per second."""
    rows = [rate_row(entry, answers) for entry, answers in in_turns(entries, rounds)]
    return Table(key, title, "jobs/s", rows, note)


def rate_row(entry: Entry, answers: list[Answer] | SubjectFailed) -> Row:
    """Return the row of one subject."""
    row = Row(entry.subject.name, against=entry.against, target=entry.target)
    if isinstance(answers, SubjectFailed):
        row.remark = f"failed: {answers}"
    else:
        row.values = [answer["jobs"] / answer["seconds"] for answer in answers]
        row.size = f"{answers[0]['jobs']:,}"
        row.remark = remark(answers)
    return row


def latencies(key: str, title: str, entries: Sequence[Entry], rounds: int, note: str = "") -> Table:
    """Run subjects in turns; return percentiles of their latencies."""
    table = Table(key, title, "ms", note=note)
    for entry, answers in in_turns(entries, rounds):
        targets = {50: entry.percentiles[0], 95: None, 99: entry.percentiles[1]}
        if isinstance(answers, SubjectFailed):
            table.rows.append(Row(entry.subject.name, remark=f"failed: {answers}"))
            continue
        for percent, target in targets.items():
            against = entry.against and f"{entry.against}, p{percent}"
            values = [percentile(answer["latencies_ms"], percent) for answer in answers]
            size = f"{len(answers[0]['latencies_ms']):,}"
            table.rows.append(Row(f"{entry.subject.name}, p{percent}", values, against, target, size))
        table.rows[-1].remark = remark(answers)
    return table


def in_turns(entries: Sequence[Entry], rounds: int) -> list[tuple[Entry, list[Answer] | SubjectFailed]]:
    """Run the subjects in turns; return what they answered beside their entries."""
    answers = round_robin([entry.subject for entry in entries], rounds)
    return [(entry, answers[entry.subject.name]) for entry in entries]


def remark(answers: Sequence[Answer]) -> str:
    """Return what a subject says of itself: its version, setting and delivery, and its processor time for each job."""
    said = [str(answers[0][name]) for name in ("version", "setting", "delivery") if name in answers[0]]
    if "processor_seconds" in answers[0]:
        micros = median([answer["processor_seconds"] / answer["jobs"] * 1e6 for answer in answers])
        said.append(f"{figure(micros)} µs of the worker's processor time a job")
    return "; ".join(said)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
