from __future__ import annotations

import copy
import gc
import itertools
import math
import pickle
import random
import subprocess
import sys
import tracemalloc
import weakref
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lagoqueue._heap import DelayHeap


class Thing:
    def __init__(self, heap: DelayHeap[Any] | None = None) -> None:
        self.heap = heap


class HeapAgainstModel(RuleBasedStateMachine):
    """A dict of (due, sequence, item) by handle, whose minimum comes out first."""

    DUES = st.one_of(st.integers(0, 5).map(float), st.floats(allow_nan=False))

    @initialize(serial=st.sampled_from([0, 2**39 - 20, 2**62]))
    def start(self, serial: int) -> None:
        self.heap: DelayHeap[int] = DelayHeap()
        vars_of: Any = self.heap
        vars_of._serial = serial
        self.model: dict[int, tuple[float, int, int]] = {}
        self.gone: list[int] = []
        self.sequence = itertools.count()
        self.numbers = itertools.count()

    def first(self) -> int:
        return min(self.model, key=self.model.__getitem__)

    def forget(self, handle: int) -> int:
        self.gone.append(handle)
        return self.model.pop(handle)[2]

    @rule(dues=st.lists(DUES, min_size=1, max_size=100))
    def push(self, dues: list[float]) -> None:
        for due in dues:
            item = next(self.numbers)
            handle = self.heap.push(due, item)
            assert handle not in self.model
            assert handle not in self.gone
            self.model[handle] = (due, next(self.sequence), item)

    @rule(count=st.integers(1, 150))
    def pop(self, count: int) -> None:
        for _ in range(min(count, len(self.model))):
            assert self.heap.pop() == self.forget(self.first())

    @rule(now=DUES)
    def pop_due(self, now: float) -> None:
        expected = None
        if self.model and self.model[self.first()][0] <= now:
            expected = self.forget(self.first())
        assert self.heap.pop_due(now) == expected

    @rule(data=st.data(), count=st.integers(1, 100))
    def cancel(self, data: st.DataObject, count: int) -> None:
        source = random.Random(data.draw(st.integers(0, 1000)))
        for handle in source.sample(sorted(self.model), min(count, len(self.model))):
            assert self.heap.cancel(handle)
            self.forget(handle)

    @rule()
    def cancel_what_is_gone(self) -> None:
        assert not any(map(self.heap.cancel, self.gone))

    @rule()
    def clear(self) -> None:
        self.heap.clear()
        self.gone += self.model
        self.model.clear()

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "heap"):
            return
        assert len(self.heap) == len(self.model)
        assert bool(self.heap) == bool(self.model)
        assert self.heap.items() == [entry[2] for entry in sorted(self.model.values())]
        assert self.heap.peek_due() == (min(self.model.values())[0] if self.model else math.inf)
        assert self.heap.peek() == (min(self.model.values())[2] if self.model else None)

    @rule(limit=st.integers(0, 50), due=DUES, sequence=st.none() | st.integers(-1, 300))
    def look(self, limit: int, due: float, sequence: int | None) -> None:
        """The first few from a place on, and how many are due, without taking them out."""
        ordered = sorted(self.model.values())
        behind = [e for e in ordered if e[0] >= due and (sequence is None or e[:2] > (due, sequence))]
        assert self.heap.first(limit, due, sequence) == [entry[2] for entry in behind[:limit]]
        assert self.heap.first(limit) == [entry[2] for entry in ordered[:limit]]
        assert self.heap.count_due(due) == sum(entry[0] <= due for entry in ordered)


HeapAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHeapAgainstModel = HeapAgainstModel.TestCase


def test_equal_times_come_out_first_in_first_out() -> None:
    heap: DelayHeap[int] = DelayHeap()
    for number in range(1000):
        heap.push(1.0, number)
    assert [heap.pop() for _ in range(1000)] == list(range(1000))


def test_a_given_sequence_orders_equal_times() -> None:
    heap: DelayHeap[str] = DelayHeap()
    for sequence, item in ((3, "c"), (-(2**63), "a"), (2**63 - 1, "d"), (2, "b")):
        heap.push(0.0, item, sequence)
    assert [heap.pop() for _ in range(4)] == ["a", "b", "c", "d"]


def test_what_cannot_be_pushed_changes_nothing() -> None:
    heap: DelayHeap[Any] = DelayHeap()
    with pytest.raises(ValueError, match="NaN"):
        heap.push(math.nan, "x")
    with pytest.raises(ValueError, match="None"):
        heap.push(1.0, None)
    with pytest.raises(OverflowError):
        heap.push(1.0, "x", 2**63)
    with pytest.raises(TypeError):
        heap.push("soon", "x")  # type: ignore[arg-type]
    assert not heap


def test_an_empty_heap() -> None:
    heap: DelayHeap[Any] = DelayHeap()
    with pytest.raises(IndexError):
        heap.pop()
    assert heap.pop_due(math.inf) is None
    assert heap.peek_due() == math.inf
    assert heap.items() == []


def test_nothing_is_due_at_nan() -> None:
    heap: DelayHeap[str] = DelayHeap()
    heap.push(-math.inf, "x")
    assert heap.pop_due(math.nan) is None


@pytest.mark.parametrize("handle", [0, -1, 1, 2**62, 2**63, 2**63 + 1, -(2**70), 2**200, 5 << 63])
def test_a_number_that_is_no_handle_cancels_nothing(handle: int) -> None:
    heap: DelayHeap[str] = DelayHeap()
    heap.push(1.0, "x")
    assert not heap.cancel(handle)
    assert len(heap) == 1


def test_a_handle_must_be_an_int() -> None:
    with pytest.raises(TypeError, match="str"):
        DelayHeap().cancel("1")  # type: ignore[arg-type]


def test_a_stale_handle_spares_the_entry_that_reuses_its_slot() -> None:
    heap: DelayHeap[int] = DelayHeap()
    stale: list[int] = []
    for number in range(1000):
        stale.append(heap.push(1.0, number))
        assert heap.pop() == number
    heap.push(1.0, -1)
    assert not any(map(heap.cancel, stale))
    assert heap.pop() == -1


def test_copy_and_pickle_are_refused() -> None:
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copied or pickled"):
            attempt(DelayHeap())


def test_a_cycle_through_the_heap_is_collected() -> None:
    heap: DelayHeap[Thing] = DelayHeap()
    thing = Thing(heap)
    heap.push(1.0, thing)
    watch = weakref.ref(thing)
    del heap, thing
    gc.collect()
    assert watch() is None


def test_a_cycle_with_nothing_but_the_heap_to_break_it_is_collected() -> None:
    heap: DelayHeap[Any] = DelayHeap()
    watched = Thing()
    heap.push(1.0, (heap, watched))
    watch = weakref.ref(watched)
    del heap, watched
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("way", ["pop", "pop_due", "cancel", "clear"])
def test_an_object_is_let_go_with_its_entry(way: str) -> None:
    heap: DelayHeap[Thing] = DelayHeap()
    thing = Thing()
    watch = weakref.ref(thing)
    handle = heap.push(1.0, thing)
    del thing
    arguments: dict[str, tuple[Any, ...]] = {"pop": (), "pop_due": (1.0,), "cancel": (handle,), "clear": ()}
    getattr(heap, way)(*arguments[way])
    assert watch() is None


class Meddler:
    """Uses the heap when it is destroyed."""

    def __init__(self, heap: DelayHeap[Any], log: list[int]) -> None:
        self.heap = heap
        self.log = log

    def __del__(self) -> None:
        self.log.append(len(self.heap))
        for number in range(200):
            self.heap.push(-1e9, number)  # ahead of the other meddlers
        for _ in range(150):
            self.heap.pop()


@pytest.mark.parametrize("way", ["pop", "cancel", "clear"])
def test_destructors_may_use_the_heap(way: str) -> None:
    heap: DelayHeap[Any] = DelayHeap()
    log: list[int] = []
    handles = [heap.push(float(-number), Meddler(heap, log)) for number in range(5)]
    if way == "clear":
        heap.clear()
        assert log == [0, 50, 100, 150, 200]
        assert len(heap) == 250
    else:
        heap.cancel(handles[-1]) if way == "cancel" else heap.pop()
        assert log == [4]
        assert len(heap) == 54
    left = heap.items()
    assert len(left) == len(heap)
    gc.collect()


def test_memory_is_given_back_in_order_of_leaving() -> None:
    heap: DelayHeap[str] = DelayHeap()
    empty = sys.getsizeof(heap)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100_000):
            heap.push(float(number), "x")
        full = sys.getsizeof(heap)
        traced = tracemalloc.get_traced_memory()[0] - before
        assert traced > 4_000_000
        assert full - empty > 0.8 * traced  # sizeof tells the truth
        for _ in range(90_000):
            heap.pop()
        assert sys.getsizeof(heap) < 0.4 * full
        for _ in range(10_000):
            heap.pop()
        assert sys.getsizeof(heap) - empty < 0.05 * full
        assert tracemalloc.get_traced_memory()[0] - before < 0.05 * traced
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_use() -> None:
    heap: DelayHeap[int] = DelayHeap()
    for number in range(100):
        heap.push(float(number), number)
    size = sys.getsizeof(heap)
    for number in range(100, 20_000):
        heap.push(float(number), number)
        heap.pop()
    assert sys.getsizeof(heap) <= 2 * size


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the address space")
def test_running_out_of_memory_leaves_the_heap_whole() -> None:
    program = """
import resource
from lagoqueue._heap import DelayHeap
heap = DelayHeap()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, limit[1]))
try:
    for number in range(10_000_000):
        heap.push(0.0, True)
except MemoryError:
    pass
else:
    raise SystemExit("the limit was never met")
resource.setrlimit(resource.RLIMIT_AS, limit)
size = len(heap)
assert size == number, (size, number)
heap.push(-1.0, False)
assert heap.pop() is False
for _ in range(size):
    assert heap.pop() is True
assert not heap
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", range(5))
def test_cancelling_most_entries_keeps_the_order_and_gives_the_memory_back(seed: int) -> None:
    source = random.Random(seed)
    heap: DelayHeap[int] = DelayHeap()
    handles = {number: heap.push(source.random(), number) for number in range(5_000)}
    order = heap.items()
    full = sys.getsizeof(heap)
    left = set(source.sample(range(5_000), 100))
    cancelled = [number for number in handles if number not in left]
    source.shuffle(cancelled)
    for number in cancelled:
        assert heap.cancel(handles[number])
        assert not heap.cancel(handles[number])
    assert len(heap) == 100
    assert sys.getsizeof(heap) < 0.5 * full
    expected = [number for number in order if number in left]
    assert heap.items() == expected
    heap.push(math.inf, -1)
    assert [heap.pop() for _ in range(len(heap))] == [*expected, -1]
    assert heap.peek_due() == math.inf


def test_a_heap_whose_entries_are_all_cancelled_is_empty_and_usable() -> None:
    heap: DelayHeap[int] = DelayHeap()
    for _ in range(3):
        handles = [heap.push(due, due) for due in range(1_000)]
        for handle in reversed(handles):
            assert heap.cancel(handle)
        assert len(heap) == 0
        assert heap.peek_due() == math.inf
        assert heap.pop_due(math.inf) is None
        assert heap.items() == []
