"""`Reader`: one read for all, how long it is kept, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from lagoqueue.errors import FailedJobNotFound, InvalidValue
from lagoqueue.monitor import MemoryInspector
from lagoqueue_dashboard import reading
from lagoqueue_dashboard.reading import Look, Reader


class Store:
    """Something to read: each read gives the next number, after the test has said so."""

    def __init__(self) -> None:
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.takes = 0.0
        self.now = 1000.0
        self.clock = SimpleNamespace(monotonic=lambda: self.now)

    async def load(self) -> int:
        self.reads += 1
        number = self.reads
        await self.open.wait()
        self.now += self.takes
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(reading, "time", store.clock)
    return store


@pytest.fixture
def reader() -> Reader:
    return Reader(MemoryInspector())


async def soon(*tasks: asyncio.Task[Any]) -> None:
    """Let the tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_ask_at_once_share_one_read(store: Store, reader: Reader) -> None:
    store.open.clear()
    asking = [asyncio.create_task(reader.read("key", store.load)) for _ in range(10)]
    await soon(*asking)
    store.open.set()
    assert {(await each).value for each in asking} == {1}
    assert store.reads == 1


async def test_one_who_leaves_does_not_take_it_from_the_others(store: Store, reader: Reader) -> None:
    store.open.clear()
    first = asyncio.create_task(reader.read("key", store.load))
    second = asyncio.create_task(reader.read("key", store.load))
    await soon(first, second)
    first.cancel()
    await soon(second)
    store.open.set()
    assert (await second).value == 1
    assert first.cancelled()


async def test_a_read_is_new_for_a_while(store: Store, reader: Reader) -> None:
    assert (await reader.read("key", store.load, keep=5.0)).value == 1
    store.now += 4.9
    assert (await reader.read("key", store.load, keep=5.0)).value == 1
    store.now += 0.2
    assert (await reader.read("key", store.load, keep=5.0)).value == 2


@pytest.mark.parametrize(("takes", "kept"), [(0.0, 2.0), (0.01, 2.0), (0.05, 5.0), (0.3, 30.0), (2.5, 60.0)])
async def test_what_takes_long_is_repeated_more_rarely(store: Store, reader: Reader, takes: float, kept: float) -> None:
    store.takes = takes
    await reader.read("key", store.load)
    store.now += 2.01
    await reader.read("key", store.load)
    assert store.reads == 2
    store.now += kept - 0.01
    await reader.read("key", store.load)
    assert store.reads == 2
    store.now += 0.02
    await reader.read("key", store.load)
    assert store.reads == 3


async def test_one_slow_read_is_no_reason_to_look_more_rarely(store: Store, reader: Reader) -> None:
    for takes in (2.5, 0.0, 2.5, 0.0):
        store.takes = takes
        await reader.read("key", store.load)
        store.now += 2.01
    assert store.reads == 4


@pytest.mark.parametrize(("takes", "kept"), [(0.0, 2.0), (0.05, 5.0), (3.0, 15.0)])
async def test_what_fails_slowly_is_tried_again_more_rarely(
    store: Store, reader: Reader, takes: float, kept: float
) -> None:
    store.takes, store.error = takes, OSError()
    await reader.read("key", store.load)
    store.now += kept - 0.01
    await reader.read("key", store.load)
    assert store.reads == 1
    store.error = None
    store.now += 0.02
    assert (await reader.read("key", store.load)).value == 2


async def test_the_first_success_is_seen_soon_however_long_a_success_is_kept(store: Store, reader: Reader) -> None:
    store.error = OSError()
    await reader.read("key", store.load, keep=60.0)
    store.error = None
    store.now += reading.AGAIN
    assert (await reader.read("key", store.load, keep=60.0)).problem is None


async def test_after_an_action_all_is_read_anew(store: Store, reader: Reader) -> None:
    await reader.read("one", store.load)
    await reader.read("two", store.load)
    reader.forget()
    assert [(await reader.read(key, store.load)).value for key in ("one", "two")] == [3, 4]


async def test_what_was_asked_before_an_action_is_not_taken_for_what_is_after(store: Store, reader: Reader) -> None:
    store.open.clear()
    before = asyncio.create_task(reader.read("key", store.load))
    await soon(before)
    reader.forget()
    after = asyncio.create_task(reader.read("key", store.load))
    await soon(after)
    store.open.set()
    assert ((await before).value, (await after).value) == (1, 2)
    assert (await reader.read("key", store.load)).value == 2


async def test_the_older_read_may_end_last(reader: Reader) -> None:
    gates = [asyncio.Event(), asyncio.Event()]

    async def load(number: int) -> int:
        await gates[number].wait()
        return number

    before = asyncio.create_task(reader.read("key", lambda: load(0)))
    await soon(before)
    reader.forget()
    after = asyncio.create_task(reader.read("key", lambda: load(1)))
    await soon(after)
    gates[1].set()
    assert (await after).value == 1
    gates[0].set()
    assert (await before).value == 0
    assert (await reader.read("key", lambda: load(0))).value == 1


async def test_a_failure_leaves_the_last_value_with_its_time(store: Store, reader: Reader) -> None:
    good = await reader.read("key", store.load)
    store.now += 3
    store.error = ConnectionError("db.internal refused postgres:s3cret")
    bad = await reader.read("key", store.load)
    assert (bad.value, bad.at) == (1, good.at)
    assert bad.problem == "ConnectionError, which the log of this process shows"
    store.now += 3
    store.error = None
    better = await reader.read("key", store.load)
    assert (better.value, better.problem) == (3, None)


async def test_a_failure_is_kept_for_a_while_too(store: Store, reader: Reader) -> None:
    store.error = OSError()
    assert [(await reader.read("key", store.load)).value for _ in range(5)] == [None] * 5
    assert store.reads == 1


async def test_a_failure_that_goes_on_is_logged_once(
    store: Store, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    store.error = OSError("disk full")
    for _ in range(3):
        await reader.read("key", store.load)
        store.now += 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "disk full" in caplog.text


async def test_failures_are_kept_apart(store: Store, reader: Reader) -> None:
    await reader.read("good", store.load)
    store.error = OSError()
    assert (await reader.read("bad", store.load)).problem is not None
    assert (await reader.read("good", store.load)).problem is None


@pytest.mark.parametrize("error", [InvalidValue("page must be a number"), FailedJobNotFound("f1")])
async def test_an_answer_is_no_trouble_and_is_not_kept(store: Store, reader: Reader, error: Exception) -> None:
    store.error = error
    for number in (1, 2):
        with pytest.raises(type(error)):
            await reader.read("key", store.load)
        assert store.reads == number
    store.error = None
    assert (await reader.read("key", store.load)).problem is None


async def test_an_answer_that_nobody_waited_for_is_no_noise(
    store: Store, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    store.open.clear()
    asking = asyncio.create_task(reader.read("key", store.load))
    await soon(asking)
    asking.cancel()
    store.error = InvalidValue("no")
    store.open.set()
    await soon()
    assert caplog.records == []


async def test_a_read_that_hangs_is_given_up(store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TIMEOUT", 0.02)
    store.open.clear()
    answers = await asyncio.gather(*(reader.read("key", store.load) for _ in range(10)))
    assert {answer.problem for answer in answers} == {"no answer within 0.02 s"}
    assert store.reads == 1


async def test_a_read_that_will_not_be_cancelled_is_given_up_too(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TIMEOUT", 0.02)
    end, reads = asyncio.Event(), 0

    async def stubborn() -> int:
        nonlocal reads
        reads += 1
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        return 1

    try:
        for _ in range(3):
            reader.forget()  # or the failure would be kept
            asking = asyncio.create_task(reader.read("key", stubborn))
            done, _pending = await asyncio.wait({asking}, timeout=5)
            assert done
            assert asking.result().problem is not None
        assert reads == 1  # what still runs is not started again
    finally:
        end.set()
    await soon()
    reader.forget()
    assert (await reader.read("key", stubborn)).value == 1


async def test_reads_that_are_remembered_are_few(store: Store, reader: Reader) -> None:
    await reader.read("often", store.load, keep=1e6)
    for number in range(reading.MOST + 50):
        await reader.read(number, store.load, keep=1e6)
        await reader.read("often", store.load, keep=1e6)
    reads = store.reads
    assert (await reader.read("often", store.load)).value == 1  # what is used stays
    await reader.read(reading.MOST + 49, store.load)
    assert store.reads == reads
    await reader.read(0, store.load)
    assert store.reads == reads + 1
    assert len(reader._kept) == reading.MOST


# --- What viewers choose ------------------------------------------------------------------------------


async def test_many_searches_of_one_viewer_do_not_keep_an_inspector_from_the_others(reader: Reader) -> None:
    one_at_a_time, begun = asyncio.Lock(), []

    async def load(name: object) -> object:
        async with one_at_a_time:
            begun.append(name)
            await asyncio.sleep(0)
        return name

    look = Look(reader)
    searches = [asyncio.create_task(look.read("found", number, partial(load, number), None)) for number in range(50)]
    await soon(*searches)
    assert await look.read("the counters", None, lambda: load("counters"), None) == "counters"
    assert begun.index("counters") <= 5
    assert await asyncio.gather(*searches) == list(range(50))
    assert look.problems == []


async def test_a_search_waits_for_its_turn_no_longer_than_for_an_answer(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TIMEOUT", 0.02)
    store.open.clear()
    answers = await asyncio.gather(*(reader.read(number, store.load, chosen=True) for number in range(10)))
    assert {answer.problem for answer in answers} == {"no answer within 0.02 s"}
    assert store.reads < 10
    store.open.set()
    assert (await reader.read("next", store.load, chosen=True)).problem is None


def test_turns_are_of_one_event_loop(store: Store, reader: Reader) -> None:
    async def many() -> set[str | None]:
        answers = await asyncio.gather(*(reader.read(number, store.load, chosen=True) for number in range(10)))
        return {answer.problem for answer in answers}

    assert asyncio.run(many()) == {None}
    store.now += 3
    assert asyncio.run(many()) == {None}
    assert store.reads == 20


async def test_few_reads_of_what_was_chosen_are_remembered(store: Store, reader: Reader) -> None:
    await reader.read("common", store.load, keep=1e6)
    for number in range(reading.MOST + 50):
        await reader.read(number, store.load, keep=1e6, chosen=True)
    assert len(reader._chosen) == reading.MOST_CHOSEN
    assert (await reader.read("common", store.load)).value == 1
    reader.forget()
    reads = store.reads
    await reader.read(reading.MOST + 49, store.load, chosen=True)
    assert store.reads == reads + 1


def test_two_event_loops_one_after_the_other(store: Store, reader: Reader) -> None:
    store.open.clear()

    async def leave() -> None:
        asking = asyncio.create_task(reader.read("key", store.load))
        await soon(asking)

    asyncio.run(leave())
    store.open = asyncio.Event()
    store.open.set()
    assert asyncio.run(_read(reader, store)) == 2
    store.now += 3
    assert asyncio.run(_read(reader, store)) == 3


async def _read(reader: Reader, store: Store) -> int | None:
    return (await reader.read("key", store.load)).value


# --- Look ---------------------------------------------------------------------------------------------


async def test_a_look_says_what_it_could_not_read(store: Store, reader: Reader) -> None:
    look = Look(reader)
    assert await look.read("the counters", None, store.load, 0) == 1
    assert (look.found, look.stale, look.problems) == (True, False, [])
    store.now += 3
    store.error = OSError()
    late = Look(reader)
    assert await late.read("the counters", None, store.load, 0) == 1
    assert await late.read("the workers", None, store.load, 0) == 0
    assert late.found
    assert late.read_at == look.read_at
    reason = "OSError, which the log of this process shows"
    assert late.problems == [
        f"Could not read the counters: {reason}; what is shown is from {look.read_at:%H:%M:%S} UTC.",
        f"Could not read the workers: {reason}.",
    ]


async def test_a_look_says_the_same_once(store: Store, reader: Reader) -> None:
    store.error = OSError()
    look = Look(reader)
    for key in ("one", "two"):
        await look.read("the counters", key, store.load, 0)
    assert (look.found, len(look.problems)) == (False, 1)
