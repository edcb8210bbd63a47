"""A day behind a shop: what its queues did in each stretch of time, written into the tables that count it."""

from __future__ import annotations

import math
import random
import time
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import sqlalchemy as sa

from lagoqueue.monitor import BOUNDS
from lagoqueue.monitor.tally import COUNTS, NAMES

_SPANS = {10: 3_600, 300: 86_400}
"""Seconds of a bucket, and how long ago the first of that width begins."""

_TROUBLE = range(1_500, 2_400)
"""Seconds ago in which the mail server was away."""

_MANY = 50
"""Durations from which on their spread is as it should be, and not by chance."""


@dataclass(frozen=True)
class Habit:
    """What is usual for a queue: jobs a second, seconds that one runs, and seconds that it waits before."""

    label: str
    rate: float
    run: float
    wait: float


HABITS = (
    Habit("critical", 12.4, 0.034, 0.012),
    Habit("default", 38.0, 0.118, 0.9),
    Habit("emails", 4.2, 0.31, 3.0),
    Habit("reports", 0.13, 6.5, 9.0),
)


def write_history(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Fill the tables of totals and of history up to now."""
    chance, now = random.Random(4), time.time()
    buckets = [row for span, reach in _SPANS.items() for row in _buckets(chance, now, span, reach)]
    for name in ("history", "totals"):
        connection.execute(metadata.tables[f"lagoqueue_{name}"].delete())
    connection.execute(metadata.tables["lagoqueue_history"].insert(), buckets)
    for habit in HABITS:
        day = [row for row in buckets if row["queue"] == habit.label and row["span"] == max(_SPANS)]
        sums = {name: 11 * sum(row[name] for row in day) for name in COUNTS}
        ended = int(now * 1e6) - int(4e5 / habit.rate)
        row = {"jobs_table": "jobs", "queue": habit.label, **sums, "processed_at": ended}
        connection.execute(metadata.tables["lagoqueue_totals"].insert(), row)


def _buckets(chance: random.Random, now: float, span: int, reach: int) -> Iterator[dict[str, Any]]:
    latest = int(now) // span * span
    for begin in range(latest - reach, latest + 1, span):
        for habit in HABITS:
            part = min(1.0, (now - begin) / span)  # of the running one only what has passed
            counts, run, wait = _lived(chance, habit, now - begin, part * span)
            numbers = (*counts, *run, *wait)
            yield {
                "jobs_table": "jobs",
                "span": span,
                "bucket": begin,
                "queue": habit.label,
                **dict(zip(NAMES, numbers, strict=True)),
            }


def _lived(
    chance: random.Random, habit: Habit, ago: float, seconds: float
) -> tuple[tuple[int, int, int, int], list[int], list[int]]:
    """Return what was counted in so many seconds, and the slots of run and waiting times."""
    tide = 1 + 0.28 * math.sin(ago / 13_000 + len(habit.label)) + 0.1 * math.sin(ago / 700)
    usual = habit.rate * seconds * tide * chance.uniform(0.86, 1.14)
    trouble = habit.label == "emails" and int(ago) in _TROUBLE
    done = _whole(chance, usual * (0.25 if trouble else 1.0))
    failed = _whole(chance, usual * (0.5 if trouble else 0.0004))
    pushed, retried = _whole(chance, usual * chance.uniform(0.95, 1.05)), _whole(chance, failed * 2 + usual * 0.004)
    backlog = 60.0 if habit.label == "emails" and ago < _TROUBLE.stop else 1.0
    slow = chance.uniform(0.85, 1.2)
    run = _spread(chance, done, habit.run * slow * (3 if trouble else 1), 0.55)
    wait = _spread(chance, done, habit.wait * slow * backlog, 0.8)
    return (pushed, done, failed, retried), run, wait


def _whole(chance: random.Random, number: float) -> int:
    return int(number) + (chance.random() < number % 1)


def _spread(chance: random.Random, number: int, median: float, sigma: float) -> list[int]:
    """Return how many of some durations fall into each slot, if their logarithms are spread normally."""
    normal = NormalDist(math.log(median), sigma)
    edges = [normal.cdf(math.log(bound)) for bound in BOUNDS]
    if number >= _MANY:
        return [round(number * (upper - lower)) for lower, upper in pairwise((0.0, *edges, 1.0))]
    slots = [0] * (len(edges) + 1)
    for _ in range(number):
        slots[bisect(edges, chance.random())] += 1
    return slots
