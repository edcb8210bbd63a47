"""`History`: the last hour by ten seconds, the last day by five minutes, and what charts and rows are made from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lagoqueue import Job, MemoryQueue, Worker, dispatch
from lagoqueue.monitor import Durations, History, MemoryInspector, ThroughputPoint, history_points, tally
from lagoqueue.monitor.durations import SLOTS, slot_of
from lagoqueue.observer import Observer
from lagoqueue.testing import ManualClock, drain
from tests.core.payloads import Resize

START = 1_700_000_100  # a whole five minutes of the epoch


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def job(queue: str = "mail", due: float | None = None) -> Job:
    available_at = None if due is None else datetime.fromtimestamp(due, UTC)
    return Job(id="1", name="Mail", payload=b"{}", queue=queue, available_at=available_at)


def took(*seconds: float) -> Durations:
    slots = [slot_of(each) for each in seconds]
    return Durations(tuple(slots.count(slot) for slot in range(SLOTS)))


def busy(points: list[ThroughputPoint]) -> list[ThroughputPoint]:
    return [point for point in points if point != ThroughputPoint(point.at)]


# --- Points ---------------------------------------------------------------------------------------


def test_points_are_of_ten_whole_seconds_without_gaps_up_to_the_running_ones() -> None:
    counted = ThroughputPoint(at(0), 1, 2, 3, 4, took(1), took(2))
    points = history_points([counted], START + 19.9, 1)
    assert [point.at for point in points] == [at(-50 + 10 * number) for number in range(6)]
    assert points[-1] == counted
    assert busy(points) == points[-1:]
    assert busy(history_points([counted], START + 9.9, 1)) == []
    assert len(history_points([], START)) == 360


@pytest.mark.parametrize(("minutes", "points"), [(61, 13), (65, 13), (66, 14), (1_440, 288)])
def test_beyond_an_hour_points_are_of_five_whole_minutes(minutes: int, points: int) -> None:
    counted = [ThroughputPoint(at(-300), 1), ThroughputPoint(at(0), 2)]
    found = history_points(counted, START + 299.9, minutes)
    assert [point.at for point in found] == [at(-300 * number) for number in range(points, 0, -1)]
    assert busy(found) == counted[:1]  # the five minutes that run are left out


@pytest.mark.parametrize("minutes", [0, -1, 1_441, True, 2.0])
def test_what_is_no_number_of_minutes_is_refused(minutes: int) -> None:
    for call in (
        lambda: history_points([], START, minutes),
        lambda: History().points(minutes=minutes),
        lambda: History().activity(minutes=minutes),
    ):
        with pytest.raises(ValueError, match="minutes must be a whole number from 1 to 1440"):
            call()


# --- Counting -------------------------------------------------------------------------------------


def test_events_are_counted_in_their_ten_seconds_under_their_label() -> None:
    now = [START + 3.0]
    history = History(clock=lambda: now[0])
    history.pushed(job())
    history.pushed(job("bulk"))
    now[0] += 6.9
    history.processed(job(), 0.1)
    now[0] += 0.1  # the next ten seconds
    history.retried(job(), ValueError(), 1.0)
    history.failed(job(), ValueError())
    now[0] += 10
    assert busy(history.points()) == [
        ThroughputPoint(at(0), pushed=2, processed=1, run=took(0.1)),
        ThroughputPoint(at(10), failed=1, retried=1),
    ]
    assert busy(history.points("mail")) == [
        ThroughputPoint(at(0), pushed=1, processed=1, run=took(0.1)),
        ThroughputPoint(at(10), failed=1, retried=1),
    ]
    assert busy(history.points("bulk", minutes=1)) == [ThroughputPoint(at(0), pushed=1)]
    assert busy(history.points("unknown")) == []
    now[0] += 300
    day = ThroughputPoint(at(0), pushed=2, processed=1, failed=1, retried=1, run=took(0.1))
    assert busy(history.points(minutes=1_440)) == [day]


def test_counting_does_not_wait_for_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [START + 0.0]
    history = History(clock=lambda: now[0])
    history.processed(job(), 0.1)
    now[0] += 10
    held: list[bool] = []

    def total(rows: Collection[Sequence[int]]) -> Sequence[int]:
        held.append(history._lock.locked())
        return tally.total(rows)

    monkeypatch.setattr("lagoqueue.monitor.history.total", total)
    assert [point.processed for point in busy(history.points())] == [1]
    assert [sum(row.processed) for row in history.activity()] == [1]
    assert held == [False, False]


def test_a_job_waits_from_when_it_is_due_until_it_is_started() -> None:
    now = [START + 100.0]
    history = History(clock=lambda: now[0])
    history.started(job(due=START + 70.0))
    history.started(job(due=START + 100.5))  # a clock that disagrees
    history.started(job(due=None))  # of a driver that does not tell
    now[0] += 10
    (point,) = busy(history.points())
    assert (point.wait, point.run) == (took(30.0, 0.0), Durations())


def test_an_hour_is_kept_by_ten_seconds_and_a_day_by_five_minutes_and_no_more() -> None:
    now = [float(START)]
    history = History(clock=lambda: now[0])
    history.pushed(job())
    now[0] += 3_600
    history.pushed(job())
    assert [point.at for point in busy(history.points())] == [at(0)]
    now[0] += 10
    assert [point.at for point in busy(history.points())] == [at(3_600)]
    for _ in range(10_000):
        now[0] += 10
        history.pushed(job())
    assert {seconds: len(kept) for seconds, kept in history._buckets.items()} == {10: 361, 300: 289}
    points = history.points(minutes=1_440)
    assert [point.pushed for point in points] == [30] * 288


# --- Activity -------------------------------------------------------------------------------------


def test_activity_is_a_row_for_each_label_with_what_it_did_in_the_window() -> None:
    now = [START + 0.0]
    history = History(clock=lambda: now[0])
    history.pushed(job())
    history.started(job(due=START - 7.0))
    history.processed(job(), 0.3)
    history.retried(job("bulk"), ValueError(), 1.0)
    now[0] += 120
    history.failed(job(), ValueError())
    history.processed(job(), 3.0)
    now[0] += 30
    history.pushed(job())  # in the ten seconds that run: no part of the window shows them
    bulk, mail = history.activity(minutes=5)
    assert (mail.queue, mail.pushed, mail.last_at) == ("mail", 2, at(120))
    assert (mail.run, mail.wait) == (took(0.3, 3.0), took(7.0))
    assert mail.processed == (*[0] * 15, 1, *[0] * 11, 1, 0, 0)
    assert mail.failed == (*[0] * 27, 1, 0, 0)
    assert (bulk.queue, bulk.pushed, bulk.last_at, bulk.run) == ("bulk", 0, None, Durations())
    now[0] += 3_610
    (row,) = history.activity()
    assert (row.queue, row.last_at, sum(row.processed), row.pushed) == ("mail", at(120), 0, 0)
    day = {each.queue: each for each in history.activity(minutes=1_440)}
    assert (day["mail"].pushed, sum(day["mail"].processed), sum(day["mail"].failed)) == (2, 2, 1)
    assert day["mail"].run == took(0.3, 3.0)


async def test_a_worker_feeds_it_and_an_inspector_shows_it() -> None:
    clock = ManualClock(START)
    history = History(clock=clock.time)
    async with MemoryQueue(clock=clock) as queue:
        worker = Worker(queue, max_retry=1)

        @worker.handle(Resize)
        async def resize(payload: Resize) -> None:
            clock.advance(2)

        history.observe(worker)
        await dispatch(queue, Resize(100))
        clock.advance(7)
        await drain(worker)
        clock.advance(10)
        inspector = MemoryInspector(queue=queue, history=history)
        (point,) = busy(await inspector.history(minutes=1))
        (row,) = await inspector.activity()
    assert (point.pushed, point.processed, point.failed, point.retried) == (1, 1, 0, 0)
    assert (point.run.total, point.wait) == (1, took(7.0))
    assert (row.queue, row.run, row.wait, row.last_at) == ("default", point.run, point.wait, at(9))
    assert isinstance(history, Observer)
    assert clock.now() - point.at == timedelta(seconds=19)


async def test_an_inspector_without_a_history_shows_none() -> None:
    assert await MemoryInspector().history() == []
    assert await MemoryInspector().activity() == []
