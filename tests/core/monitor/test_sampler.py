"""`Sampler`: rates from counters, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime, timedelta

import pytest

from lagoqueue.errors import InvalidValue, LagoqueueError
from lagoqueue.monitor import MemoryInspector, QueueStats, Sampler, Stats, StatsView
from lagoqueue.testing.clock import ManualClock

START = 1_700_000_000.0


class Counters(MemoryInspector):
    """An inspector over counters that the test sets, which can be made to fail."""

    def __init__(self, **processed: int) -> None:
        super().__init__()
        self.processed = processed
        self.polls = 0
        self.error: Exception | None = None

    async def stats(self) -> StatsView:
        self.polls += 1
        if self.error is not None:
            raise self.error
        rows = [QueueStats(queue, processed=count) for queue, count in sorted(self.processed.items())]
        return StatsView(rows, QueueStats(""))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


async def step(sampler: Sampler, clock: ManualClock, seconds: float = 5.0) -> None:
    clock.advance(seconds)
    await sampler.sample()


# --- Rates ------------------------------------------------------------------------------------


async def test_the_first_poll_only_learns_where_the_counters_stand(clock: ManualClock) -> None:
    sampler = Sampler(Counters(mail=1_000_000), clock=clock)
    assert (sampler.rate("mail"), sampler.window("mail")) == (0.0, [])
    await sampler.sample()
    assert (sampler.rate("mail"), sampler.window("mail")) == (0.0, [])


async def test_the_rate_is_per_minute_of_the_time_that_was_polled(clock: ManualClock) -> None:
    counters = Counters(mail=100)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    counters.processed["mail"] += 10
    await step(sampler, clock, 5)
    assert sampler.rate("mail") == 120
    await step(sampler, clock, 5)
    assert sampler.rate("mail") == 60
    await step(sampler, clock, 20)
    assert sampler.rate("mail") == 20


async def test_samples_show_when_how_many_and_how_fast(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    for gained in (1, 0, 4):
        counters.processed["mail"] += gained
        await step(sampler, clock)
    samples = sampler.window("mail")
    began = datetime.fromtimestamp(START, UTC)
    assert [sample.at for sample in samples] == [began + timedelta(seconds=seconds) for seconds in (5, 10, 15)]
    assert all(sample.at.tzinfo is UTC for sample in samples)
    assert [sample.processed for sample in samples] == [1, 0, 4]
    assert [sample.rate for sample in samples] == [12, 0, 48]
    samples.clear()
    assert len(sampler.window("mail")) == 3  # the caller's list is its own


async def test_what_is_older_than_the_window_is_forgotten(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, interval=5, window=60, clock=clock)
    await sampler.sample()
    counters.processed["mail"] += 600
    await step(sampler, clock)
    for _ in range(11):
        counters.processed["mail"] += 1
        await step(sampler, clock)
    assert len(sampler.window("mail")) == 12
    assert sampler.rate("mail") == pytest.approx(611)
    counters.processed["mail"] += 1
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("mail")] == [1] * 12
    assert sampler.rate("mail") == pytest.approx(12)


async def test_a_window_shorter_than_the_interval_shows_the_newest_sample(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, interval=5, window=1, clock=clock)
    await sampler.sample()
    for gained in (100, 5):
        counters.processed["mail"] += gained
        await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("mail")] == [5]
    assert sampler.rate("mail") == 60


async def test_a_counter_that_goes_back_counts_from_zero(clock: ManualClock) -> None:
    counters = Counters(mail=500)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    counters.processed["mail"] = 3
    await step(sampler, clock)
    counters.processed["mail"] = 4
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("mail")] == [3, 1]


async def test_a_queue_that_comes_later_counts_from_zero_and_had_nothing_before(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    await step(sampler, clock)
    counters.processed["bulk"] = 7
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("bulk")] == [0, 7]
    assert sampler.rate("bulk") == 42


async def test_a_queue_that_disappears_is_forgotten(clock: ManualClock) -> None:
    counters = Counters(mail=0, bulk=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    counters.processed["bulk"] = 9
    await step(sampler, clock)
    del counters.processed["bulk"]
    await step(sampler, clock)
    assert (sampler.rate("bulk"), sampler.window("bulk")) == (0.0, [])
    counters.processed["bulk"] = 2
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("bulk")] == [0, 0, 2]


async def test_two_polls_at_one_instant_lose_nothing(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    counters.processed["mail"] = 5
    await sampler.sample()
    assert sampler.window("mail") == []
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("mail")] == [5]


async def test_polls_that_overlap_are_recorded_in_their_order(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    clock.advance(5)
    go_on = asyncio.Event()
    answer = counters.stats

    async def slow() -> StatsView:
        view = await answer()
        await go_on.wait()
        return view

    counters.stats = slow  # type: ignore[method-assign]
    first = asyncio.create_task(sampler.sample())
    await asyncio.sleep(0)
    counters.stats = answer  # type: ignore[method-assign]
    counters.processed["mail"] = 8
    second = asyncio.create_task(sampler.sample())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, second)
    await step(sampler, clock)
    assert [sample.processed for sample in sampler.window("mail")] == [0, 8]


async def test_it_works_on_real_counters(clock: ManualClock) -> None:
    stats = Stats(clock=clock.monotonic)
    sampler = Sampler(MemoryInspector(stats), clock=clock)
    await sampler.sample()
    for _ in range(3):
        stats.on_processed("mail")
    await step(sampler, clock)
    assert sampler.rate("mail") == 36
    assert sampler.rate("unknown") == 0.0


# --- An inspector that fails --------------------------------------------------------------------


async def test_an_inspector_that_fails_is_logged_once_a_streak_and_its_time_is_covered_later(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lagoqueue.sampler")
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    await sampler.sample()
    for _ in range(2):
        caplog.clear()
        counters.error = OSError("database is away")
        for _ in range(3):
            await step(sampler, clock)
        counters.error = None
        counters.processed["mail"] += 20
        await step(sampler, clock)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert "database is away" in caplog.text
    assert [sample.processed for sample in sampler.window("mail")] == [20, 20]
    assert sampler.rate("mail") == 60


async def test_old_samples_do_not_outlive_the_window_while_the_inspector_fails(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, window=60, clock=clock)
    await sampler.sample()
    counters.processed["mail"] = 10
    await step(sampler, clock)
    counters.error = OSError("away")
    await step(sampler, clock, 30)
    assert sampler.rate("mail") == 120
    await step(sampler, clock, 30)
    assert (sampler.rate("mail"), sampler.window("mail")) == (0.0, [])


async def test_an_inspector_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(MemoryInspector):
        async def stats(self) -> StatsView:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("never reached")

    await Sampler(Hanging(), interval=0.01, window=0.01).sample()
    assert "cannot sample" in caplog.text


# --- The background poll ------------------------------------------------------------------------


async def test_it_polls_at_once_and_at_every_interval(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    async with Sampler(counters, interval=5, clock=clock) as sampler:
        await clock.elapse(0)
        assert counters.polls == 1
        counters.processed["mail"] = 10
        await clock.elapse(4.99)
        assert counters.polls == 1
        await clock.elapse(0.01)
        assert counters.polls == 2
        assert sampler.rate("mail") == 120
        await clock.elapse(50)
        assert counters.polls == 12
        assert sampler.rate("mail") == pytest.approx(600 / 55)


async def test_the_ticks_do_not_drift_and_a_slow_poll_leaves_out_what_it_ran_over(clock: ManualClock) -> None:
    at: list[float] = []

    class Slow(Counters):
        async def stats(self) -> StatsView:
            at.append(clock.monotonic())
            clock.advance(12 if len(at) == 2 else 1)
            return await super().stats()

    async with Sampler(Slow(mail=0), interval=5, clock=clock):
        await clock.elapse(0)
        for _ in range(5):
            await clock.elapse(5)
    assert at[:5] == [0, 5, 20, 25, 30]


async def test_start_and_stop_may_be_called_twice_and_again(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters, clock=clock)
    sampler.stop()
    assert sampler.start() is sampler
    assert sampler.start() is sampler
    await clock.elapse(0)
    assert counters.polls == 1
    sampler.stop()
    sampler.stop()
    await clock.elapse(60)
    assert counters.polls == 1
    counters.processed["mail"] = 1_000  # while nobody looked
    sampler.start()
    await clock.elapse(0)
    counters.processed["mail"] += 1
    await clock.elapse(5)
    assert counters.polls == 3
    assert [sample.processed for sample in sampler.window("mail")] == [1]
    sampler.stop()


async def test_stopping_keeps_what_was_sampled(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    async with Sampler(counters, clock=clock) as sampler:
        await clock.elapse(0)
        counters.processed["mail"] = 1
        await clock.elapse(5)
    assert sampler.rate("mail") == 12


async def test_leaving_the_block_ends_the_task_also_after_an_error_or_in_the_middle_of_a_poll(
    clock: ManualClock,
) -> None:
    polling = asyncio.Event()

    class Hanging(MemoryInspector):
        async def stats(self) -> StatsView:
            polling.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError("never reached")

    before = asyncio.all_tasks()

    async def block() -> None:
        async with Sampler(Hanging(), clock=clock):
            await polling.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert asyncio.all_tasks() == before


async def test_a_failing_inspector_does_not_end_the_poll(clock: ManualClock) -> None:
    counters = Counters(mail=0)
    counters.error = OSError("away")
    async with Sampler(counters, clock=clock) as sampler:
        await clock.elapse(10)
        counters.error = None
        await clock.elapse(5)
        counters.processed["mail"] = 5
        await clock.elapse(5)
        assert counters.polls == 5
        assert sampler.rate("mail") == 60


async def test_on_the_machines_own_clock() -> None:
    enough = asyncio.Event()

    class Counting(Counters):
        async def stats(self) -> StatsView:
            view = await super().stats()
            self.processed["mail"] += 1
            if self.polls >= 4:
                enough.set()
            return view

    async with Sampler(Counting(mail=0), interval=timedelta(milliseconds=2)) as sampler:
        async with asyncio.timeout(10):
            await enough.wait()
        await asyncio.sleep(0)
        assert sampler.rate("mail") > 0


def test_starting_without_a_loop_is_a_clear_error() -> None:
    with pytest.raises(LagoqueueError, match="running event loop"):
        Sampler(MemoryInspector()).start()


def test_it_can_be_started_in_one_event_loop_after_another() -> None:
    class Yielding(Counters):
        async def stats(self) -> StatsView:
            await asyncio.sleep(0)
            return await super().stats()

    counters = Yielding(mail=0)
    sampler = Sampler(counters)

    async def run() -> None:
        sampler.start()
        await asyncio.gather(sampler.sample(), sampler.sample())  # they wait for each other

    asyncio.run(run())
    asyncio.run(run())
    assert counters.polls == 6
    sampler.stop()


def test_it_can_be_started_again_or_stopped_after_its_event_loop_was_closed_under_it() -> None:
    counters = Counters(mail=0)
    sampler = Sampler(counters)

    async def run() -> None:
        sampler.start()
        await asyncio.sleep(0)

    for polls in (1, 2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(run())
        loop.close()  # unlike asyncio.run, this cancels nothing
        assert counters.polls == polls
    sampler.stop()


# --- Settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unset", [0, -1, 0.0, -2.5, timedelta(), timedelta(seconds=-1), timedelta.min])
async def test_nothing_or_less_means_the_defaults(unset: float | timedelta, clock: ManualClock) -> None:
    counters = Counters(mail=0)
    async with Sampler(counters, unset, unset, clock=clock) as sampler:
        await clock.elapse(120)
        assert counters.polls == 25
        assert len(sampler.window("mail")) == 12


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e12, 10**400, timedelta.max, True, "5", None])
def test_what_is_no_duration_is_refused(bad: float) -> None:
    with pytest.raises(InvalidValue, match="interval"):
        Sampler(MemoryInspector(), interval=bad)
    with pytest.raises(InvalidValue, match="window"):
        Sampler(MemoryInspector(), window=bad)


def test_a_window_of_too_many_samples_is_refused() -> None:
    with pytest.raises(InvalidValue, match="too many intervals"):
        Sampler(MemoryInspector(), interval=0.001, window=timedelta(days=1))
