"""`DelayHeap` against `heapq` with (due, sequence, object) tuples: n pushes at random times, then n pops."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.sizes import Size, pick
from lagoqueue._heap import DelayHeap
from micro.timing import repeat


class Thing:
    """What a heap holds: every entry has an object of its own, as every job does."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


Work = Callable[[list[float], list[Thing]], None]


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


@pytest.mark.parametrize("entries", [1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("work", [with_heapq, with_delay_heap])
def bench_heap(benchmark: BenchmarkFixture, size: Size, work: Work, entries: int) -> None:
    """Push and pop as many entries."""
    if entries > pick(size, full=1_000_000, quick=1_000_000, tiny=1_000):
        pytest.skip("too many for this size")
    source = random.Random(entries)
    dues = [source.random() * 1e6 for _ in range(entries)]
    things = [Thing(number) for number in range(entries)]
    rounds = {1_000: 200, 100_000: 3, 1_000_000: 1}[entries]
    repeat(benchmark, work, entries, rounds, args=(dues, things))
