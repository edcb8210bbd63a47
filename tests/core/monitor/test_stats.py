"""`Stats`: the counters, their throughput, and counting from many threads at once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue.errors import InvalidJob
from lagoqueue.job import Job
from lagoqueue.monitor import QueueStats, Stats
from lagoqueue.observer import Observer, notify


class Seconds:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.25

    def __call__(self) -> float:
        return self.now


def job(queue: str = "default") -> Job:
    return Job(id="1", name="Mail", payload=b"{}", queue=queue)


def row(stats: Stats, queue: str) -> QueueStats:
    return {row.queue: row for row in stats.snapshot().queues}[queue]


def test_nothing_counted_is_an_empty_view() -> None:
    view = Stats().snapshot()
    assert view.queues == []
    assert view.totals == QueueStats("")


def test_counting_by_hand_gives_sorted_rows_and_their_totals() -> None:
    clock = Seconds()
    stats = Stats(clock=clock)
    clock.now += 10
    for queue in ("mail", "mail", "mail", "bulk"):
        stats.on_pushed(queue)
    stats.on_processed("mail")
    stats.on_failed("mail")
    stats.on_retried("bulk")
    view = stats.snapshot()
    assert view.queues == [
        QueueStats("bulk", pushed=1, retried=1, pending=1),
        QueueStats("mail", pushed=3, processed=1, failed=1, pending=1, throughput=0.1),
    ]
    assert view.totals == QueueStats("", pushed=4, processed=1, failed=1, retried=1, pending=2, throughput=0.1)


def test_as_an_observer_it_counts_each_event_under_the_jobs_label() -> None:
    stats = Stats()
    error = ValueError("no")
    notify([stats], "pushed", job("a"))
    notify([stats], "pushed", job("b"))
    notify([stats], "started", job("a"))
    notify([stats], "processed", job("a"), 0.5)
    notify([stats], "retried", job("b"), error, 1.0)
    notify([stats], "failed", job("b"), error)
    notify([stats], "released", job("b"), 1.0)
    notify([stats], "lost", job("b"))
    a, b = stats.snapshot().queues
    assert (a.queue, a.pushed, a.processed, a.retried, a.failed, a.pending) == ("a", 1, 1, 0, 0, 0)
    assert (b.queue, b.pushed, b.processed, b.retried, b.failed, b.pending) == ("b", 1, 0, 1, 1, 0)


def test_observe_hands_itself_to_the_worker() -> None:
    class Worker:
        def __init__(self) -> None:
            self.observers: list[Observer] = []

        def observe(self, observer: Observer) -> None:
            self.observers.append(observer)

    worker, stats = Worker(), Stats()
    stats.observe(worker)
    assert worker.observers == [stats]


def test_pending_is_never_negative_and_totals_sum_the_floored_rows() -> None:
    stats = Stats()
    stats.on_processed("fed elsewhere")
    stats.on_pushed("mail")
    view = stats.snapshot()
    assert [row.pending for row in view.queues] == [0, 1]
    assert view.totals.pending == 1


@pytest.mark.parametrize("label", ["", "x" * 101, "a\0b", None])
def test_a_label_that_no_queue_can_have_is_refused_and_not_counted(label: str) -> None:
    stats = Stats()
    for count in (stats.on_pushed, stats.on_processed, stats.on_failed, stats.on_retried):
        with pytest.raises(InvalidJob, match="label"):
            count(label)
    assert stats.snapshot().queues == []


def test_throughput_divides_by_the_time_since_the_start_at_least_a_second() -> None:
    clock = Seconds()
    stats = Stats(clock=clock)
    for _ in range(10):
        stats.on_processed("mail")
    assert row(stats, "mail").throughput == 10
    clock.now += 4
    assert row(stats, "mail").throughput == 2.5


def test_throughput_forgets_what_is_older_than_sixty_seconds() -> None:
    clock = Seconds()
    stats = Stats(clock=clock)
    for _ in range(60):
        stats.on_processed("mail")
    clock.now += 59
    assert row(stats, "mail").throughput == pytest.approx(60 / 59)
    clock.now += 1
    assert row(stats, "mail").throughput == 0
    assert row(stats, "mail").processed == 60


def test_throughput_of_a_steady_stream_is_its_rate_however_long_it_runs() -> None:
    clock = Seconds()
    stats = Stats(clock=clock)
    for _ in range(200):
        clock.now += 1
        for _ in range(3):
            stats.on_processed("mail")
    assert row(stats, "mail").throughput == 3
    clock.now += 1_000_000  # the ring has wrapped many times over
    assert row(stats, "mail").throughput == 0


EVENTS = ("pushed", "processed", "failed", "retried")


@given(
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.sampled_from(["a", "b"]), st.integers(0, 90)),
        max_size=60,
    )
)
def test_it_agrees_with_a_list_of_all_events(events: list[tuple[str, str, int]]) -> None:
    clock = Seconds()
    began = clock.now
    stats = Stats(clock=clock)
    seen: list[tuple[str, str, float]] = []
    for event, queue, passed in events:
        clock.now += passed
        getattr(stats, f"on_{event}")(queue)
        seen.append((event, queue, clock.now))
    counts = Counter((event, queue) for event, queue, _ in seen)
    view = stats.snapshot()
    assert [row.queue for row in view.queues] == sorted({queue for _, queue, _ in seen})
    for one in view.queues:
        assert [getattr(one, event) for event in EVENTS] == [counts[event, one.queue] for event in EVENTS]
        assert one.pending == max(0, one.pushed - one.processed - one.failed)
        recent = [1 for event, queue, at in seen if (event, queue) == ("processed", one.queue) and at > clock.now - 60]
        assert one.throughput == pytest.approx(len(recent) / min(60, max(1, clock.now - began)))
    for field in (*EVENTS, "pending"):
        assert getattr(view.totals, field) == sum(getattr(one, field) for one in view.queues)
    assert view.totals.throughput == pytest.approx(sum(one.throughput for one in view.queues))


def test_no_count_is_lost_between_threads_and_every_snapshot_is_consistent() -> None:
    threads, rounds = 8, 3_000
    stats = Stats(clock=lambda: 0.0)
    together = threading.Barrier(threads + 1)
    done = threading.Event()

    def hammer(number: int) -> None:
        queue = f"q{number % 2}"
        together.wait()
        for _ in range(rounds):
            stats.on_pushed(queue)
            stats.on_processed(queue)
            stats.on_retried(queue)
            stats.on_failed(queue)

    def read() -> int:
        together.wait()
        reads = 0
        while not done.is_set():
            view = stats.snapshot()
            assert view.totals.pushed == sum(one.pushed for one in view.queues)
            for one in view.queues:
                # each thread counts in this order, so no snapshot may see a later count ahead of an earlier one
                assert one.pushed >= one.processed >= one.retried >= one.failed >= one.pushed - threads
                assert one.throughput == one.processed
            reads += 1
        return reads

    with ThreadPoolExecutor(threads + 1) as pool:
        reader = pool.submit(read)
        try:
            for writer in [pool.submit(hammer, number) for number in range(threads)]:
                writer.result()
        finally:
            done.set()
        assert reader.result() > 0
    for one in stats.snapshot().queues:
        assert one.pushed == one.processed == one.failed == one.retried == threads // 2 * rounds


def test_memory_does_not_grow_with_jobs() -> None:
    clock = Seconds()
    stats = Stats(clock=clock)

    def held() -> int:
        counters = stats._counters["mail"]
        return len(counters.ring) + len(counters.seconds) + len(stats._counters)

    stats.on_processed("mail")
    before = held()
    for _ in range(1_000):
        clock.now += 0.7
        stats.on_pushed("mail")
        stats.on_processed("mail")
    assert held() == before
