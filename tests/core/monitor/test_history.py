"""`History`: the last hour by ten seconds, and the points that a chart is drawn from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lagoqueue import MemoryQueue, Worker, dispatch
from lagoqueue.job import Job
from lagoqueue.monitor import History, MemoryInspector, ThroughputPoint, history_points
from lagoqueue.observer import Observer
from lagoqueue.testing import ManualClock, drain
from tests.core.payloads import Resize

START = 1_700_000_000  # a whole ten seconds of the epoch


def job(queue: str = "mail") -> Job:
    return Job(id="1", name="Mail", payload=b"{}", queue=queue)


def busy(points: list[ThroughputPoint]) -> list[ThroughputPoint]:
    return [point for point in points if (point.pushed, point.processed, point.failed, point.retried) != (0, 0, 0, 0)]


def test_points_are_of_ten_whole_seconds_without_gaps_up_to_the_running_ones() -> None:
    points = history_points({START: (1, 2, 3, 4)}, START + 19.9, 1)
    assert [point.at for point in points] == [
        datetime.fromtimestamp(START - 50 + 10 * number, UTC) for number in range(6)
    ]
    assert points[-1] == ThroughputPoint(datetime.fromtimestamp(START, UTC), 1, 2, 3, 4)
    assert busy(points) == points[-1:]
    assert busy(history_points({START: (1, 2, 3, 4)}, START + 9.9, 1)) == []
    assert len(history_points({}, START)) == 360


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
    first, second = (datetime.fromtimestamp(START + seconds, UTC) for seconds in (0, 10))
    assert busy(history.points()) == [
        ThroughputPoint(first, pushed=2, processed=1),
        ThroughputPoint(second, failed=1, retried=1),
    ]
    assert busy(history.points("mail")) == [
        ThroughputPoint(first, pushed=1, processed=1),
        ThroughputPoint(second, failed=1, retried=1),
    ]
    assert busy(history.points("bulk", minutes=1)) == [ThroughputPoint(first, pushed=1)]
    assert busy(history.points("unknown")) == []


def test_an_hour_is_kept_and_no_more() -> None:
    now = [float(START)]
    history = History(clock=lambda: now[0])
    history.pushed(job())
    now[0] += 3_600
    history.pushed(job())
    assert [point.at for point in busy(history.points())] == [datetime.fromtimestamp(START, UTC)]
    now[0] += 10
    assert [point.at for point in busy(history.points())] == [datetime.fromtimestamp(START + 3_600, UTC)]
    for _ in range(1_000):
        now[0] += 10
        history.pushed(job())
    assert len(history._buckets) == 361


async def test_a_worker_feeds_it_and_an_inspector_shows_it() -> None:
    clock = ManualClock(START)
    history = History(clock=clock.time)
    async with MemoryQueue(clock=clock) as queue:
        worker = Worker(queue, max_retry=1)

        @worker.handle(Resize)
        async def resize(payload: Resize) -> None:
            pass

        history.observe(worker)
        await dispatch(queue, Resize(100))
        await drain(worker)
        clock.advance(10)
        inspector = MemoryInspector(queue=queue, history=history)
        (point,) = busy(await inspector.history(minutes=1))
    assert (point.pushed, point.processed, point.failed, point.retried) == (1, 1, 0, 0)
    assert isinstance(history, Observer)
    assert clock.now() - point.at == timedelta(seconds=10)


async def test_an_inspector_without_a_history_shows_none() -> None:
    assert await MemoryInspector().history() == []


@pytest.mark.parametrize("minutes", [0, 61, True, 2.0])
def test_what_is_no_number_of_minutes_is_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="minutes must be a whole number from 1 to 60"):
        history_points({}, START, minutes)
