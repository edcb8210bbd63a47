"""`DelayHeap` against `heapq` with (due, sequence, object) tuples: n pushes at random times, then n pops."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable

from _harness import Table, compare, main
from lagoqueue._heap import DelayHeap

Work = Callable[[list[float], list["Thing"]], None]


class Thing:
    """What a heap holds: every entry has an object of its own, as every job does."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def with_heapq(dues: list[float], things: list[Thing]) -> None:
    heap: list[tuple[float, int, Thing]] = []
    sequence = itertools.count()
    push, pop, following = heapq.heappush, heapq.heappop, sequence.__next__
    for due, thing in zip(dues, things, strict=True):
        push(heap, (due, following(), thing))
    for _ in dues:
        pop(heap)[2]


def with_delay_heap(dues: list[float], things: list[Thing]) -> None:
    heap: DelayHeap[Thing] = DelayHeap()
    push, pop = heap.push, heap.pop
    for due, thing in zip(dues, things, strict=True):
        push(due, thing)
    for _ in dues:
        pop()


def run(quick: bool) -> list[Table]:
    tables: list[Table] = []
    sizes = [(1_000, 50), (100_000, 3)] if quick else [(1_000, 300), (100_000, 9), (1_000_000, 3)]
    for size, rounds in sizes:
        source = random.Random(size)
        dues = [source.random() * 1e6 for _ in range(size)]
        things = [Thing(number) for number in range(size)]

        def measure(work: Work, dues: list[float] = dues, things: list[Thing] = things) -> float:
            start = time.perf_counter_ns()
            work(dues, things)
            return (time.perf_counter_ns() - start) / len(dues)

        subjects = [
            ("heapq, tuples", lambda measure=measure: measure(with_heapq)),
            ("DelayHeap", lambda measure=measure: measure(with_delay_heap)),
        ]
        tables.append(compare(f"Delay heap, one push and one pop, n = {size:,}", subjects, rounds))
    return tables


if __name__ == "__main__":
    main(run)
