"""What every failed-jobs store and every `DetailedInspector` does, as tests: a store's own tests inherit them.

A test class for a store names one of the classes below as its base and has a fixture `scene`, which
yields a `Scene` over an empty store whose time is the scene's clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from lagoqueue import Observer, Worker, dispatch
from lagoqueue.errors import DuplicateJob, InvalidValue, JobNotFound
from lagoqueue.failure import Failure
from lagoqueue.job import Job
from lagoqueue.monitor import (
    BulkResult,
    DetailedInspector,
    FailedFilter,
    FailedJobs,
    FailedView,
    FailureGroup,
    JobPage,
    LiveState,
    QueueActivity,
    QueueDepth,
    ThroughputPoint,
)
from lagoqueue.monitor.paging import write_cursor
from lagoqueue.monitor.points import LONG
from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, drain

HUGE = write_cursor(2**63)
NUL = write_cursor("a\0", 1, 1, 1)
"""Cursors with what no database takes as a parameter."""

VISIBILITY_TIMEOUT = 60.0
"""Seconds that a scene's reservations last."""


@dataclass
class Scene:
    """A queue, its failed jobs and who looks at both, in a time that the test moves.

    `observers` are told of what workers do, where the store does not count that by itself.
    """

    queue: Queue
    failed_jobs: FailedJobs
    inspector: DetailedInspector
    clock: ManualClock
    observers: tuple[Observer, ...] = ()

    async def push(self, *ids: str, delay: float | None = None, **fields: Any) -> None:
        for job_id in ids:
            await self.queue.push(make_job(job_id, **fields), delay=delay)

    async def record(
        self, *ids: str, queue: str = "mail", name: str = "Mail", kind: str = "ValueError", message: str = "no"
    ) -> None:
        """Record failed jobs, a second after one another."""
        for job_id in ids:
            self.clock.advance(1)
            failure = Failure(kind, f"{kind}: {message}", "Traceback: secret")
            await self.failed_jobs.record(make_job(job_id, name=name, attempts=3), queue, failure)

    async def dispatch(self, *payloads: Work, queue: str = "mail") -> None:
        """Dispatch jobs, and have them counted now, which a store may do a little later."""
        worker = self._worker(queue)
        for payload in payloads:
            await dispatch(worker.queue, payload)
        await self.inspector.stats()

    async def work(self, queue: str = "mail") -> None:
        """Run a worker until nothing is due under a label; each job has two attempts."""
        worker = self._worker(queue)

        @worker.handle(Work)
        async def handle(payload: Work) -> None:
            if payload.fails:
                raise ValueError("no")

        await drain(worker, raise_errors=False)
        await self.inspector.stats()

    def _worker(self, queue: str) -> Worker:
        worker = Worker(self.queue.named(queue), max_retry=2, backoff=0)
        for observer in self.observers:
            worker.observe(observer)
        return worker

    def begin_five_minutes(self) -> None:
        """Move the clock to where the next bucket begins."""
        self.clock.advance(LONG - self.clock.time() % LONG)

    async def kept(self) -> list[str]:
        """Return the ids of all records, newest first."""
        return [failed.id for failed in await self.failed_jobs.list()]

    async def found(self, **fields: Any) -> list[str]:
        """Return the ids of the records that a filter means, newest first."""
        page = await self.failed_jobs.search(FailedFilter(**fields))
        assert page.next is None
        return [failed.id for failed in page.jobs]


@dataclass(frozen=True)
class Work:
    """What the jobs carry that a scene's worker runs."""

    fails: bool = False


def make_job(job_id: str, **fields: Any) -> Job:
    return Job(**{"id": job_id, "name": "Mail", "payload": b'"secret"', **fields})


def flat(pages: Iterable[list[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


async def all_failed(store: FailedJobs, filter: FailedFilter | None, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    after: str | None = None
    while True:
        page = await store.search(filter, after=after, limit=limit)
        pages.append([failed.id for failed in page.jobs])
        after = page.next
        if after is None:
            return pages


async def all_jobs(inspector: DetailedInspector, state: LiveState, queue: str | None, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    after: str | None = None
    while True:
        page = await inspector.jobs(state, queue, after=after, limit=limit)
        assert all(view.state == state for view in page.jobs)
        pages.append([view.id for view in page.jobs])
        after = page.next
        if after is None:
            return pages


async def all_of_it(act: Callable[..., Awaitable[BulkResult]], filter: FailedFilter, limit: int) -> list[BulkResult]:
    """Do an action on many to its end."""
    results: list[BulkResult] = []
    after: str | None = None
    while True:
        results.append(await act(filter, after=after, limit=limit))
        after = results[-1].next
        if after is None:
            return results


class FailedJobsRules:
    # --- Search ---------------------------------------------------------------------------------

    async def test_a_search_without_a_filter_finds_every_record_newest_first(self, scene: Scene) -> None:
        assert (await scene.failed_jobs.search()).jobs == []
        await scene.record("c", "a", "b")
        page = await scene.failed_jobs.search()
        assert [failed.id for failed in page.jobs] == ["b", "a", "c"]
        assert page.next is None

    async def test_a_row_shows_all_but_payload_and_traceback(self, scene: Scene) -> None:
        await scene.record("a", queue="mail", name="Mail", message="no such user")
        record = await scene.failed_jobs.get("a")
        (row,) = (await scene.failed_jobs.search()).jobs
        assert row == FailedView("a", "mail", "Mail", "ValueError", "ValueError: no such user", 3, record.failed_at)
        assert row.failed_at.utcoffset() == timedelta(0)

    async def test_each_part_of_a_filter_narrows_the_search(self, scene: Scene) -> None:
        await scene.record("1", queue="mail", name="Mail", kind="ValueError", message="bad address")
        await scene.record("2", queue="mail", name="Bill", kind="KeyError", message="bad key")
        await scene.record("3", queue="bulk", name="Mail", kind="KeyError", message="gone")
        assert await scene.found(queue="mail") == ["2", "1"]
        assert await scene.found(name="Mail") == ["3", "1"]
        assert await scene.found(kind="KeyError") == ["3", "2"]
        assert await scene.found(text="bad") == ["2", "1"]
        assert await scene.found(ids=("3", "1", "unknown")) == ["3", "1"]
        assert await scene.found(queue="mail", name="Mail", kind="KeyError") == []
        assert await scene.found(queue="mail", ids=("3", "2")) == ["2"]
        assert await scene.found(kind="KeyError", text="gone", name="Mail", queue="bulk") == ["3"]
        assert await scene.found(queue="unknown") == []
        assert await scene.found(kind="Key") == []  # text is the only part that may be part of it

    async def test_text_is_found_as_it_stands_whatever_it_means_to_a_database(self, scene: Scene) -> None:
        await scene.record("percent", message="100% of a_b")
        await scene.record("plain", message="1000 of axb")
        await scene.record("quotes", message='\'; DROP TABLE "x" \\ --')
        await scene.record("umlaut", message="Größe\n\U0001f980")
        assert await scene.found(text="0% of") == ["percent"]
        assert await scene.found(text="a_b") == ["percent"]
        assert await scene.found(text="'; DROP") == ["quotes"]
        assert await scene.found(text='"x" \\') == ["quotes"]
        assert await scene.found(text="größe") == []
        assert await scene.found(text="Größe\n\U0001f980") == ["umlaut"]
        assert await scene.found(text="ValueError: 1") == ["plain", "percent"]

    async def test_labels_names_and_ids_are_compared_to_the_letter(self, scene: Scene) -> None:
        await scene.record("a", queue="mail", name="Mail", kind="E")
        for fields in ({"queue": "Mail"}, {"queue": "mail "}, {"name": "mail"}, {"kind": "e"}, {"ids": ("A",)}):
            assert await scene.found(**fields) == []

    async def test_since_is_included_and_until_is_not(self, scene: Scene) -> None:
        await scene.record("1", "2", "3")
        at = [(await scene.failed_jobs.get(job_id)).failed_at for job_id in "123"]
        assert await scene.found(since=at[1]) == ["3", "2"]
        assert await scene.found(until=at[1]) == ["1"]
        assert await scene.found(since=at[1], until=at[2]) == ["2"]
        assert await scene.found(since=at[2] + timedelta(seconds=1)) == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1_000])
    async def test_pages_hold_each_record_once_and_end(self, scene: Scene, limit: int) -> None:
        await scene.record(*(str(number) for number in range(7)))
        pages = await all_failed(scene.failed_jobs, None, limit)
        assert flat(pages) == ["6", "5", "4", "3", "2", "1", "0"]
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert 0 < len(pages[-1]) <= limit  # a page that ends with the last record knows that it does

    async def test_pages_of_what_a_filter_means_hold_each_record_once(self, scene: Scene) -> None:
        for number in range(12):
            await scene.record(str(number), queue="mail" if number % 3 else "bulk", message="x" if number % 2 else "y")
        cases: list[tuple[dict[str, Any], list[int]]] = [
            ({"queue": "mail"}, [number for number in range(12) if number % 3]),
            ({"text": ": x"}, [number for number in range(12) if number % 2]),
            ({"queue": "mail", "text": ": x"}, [number for number in range(12) if number % 3 and number % 2]),
            ({"ids": ("2", "9", "4")}, [2, 4, 9]),
        ]
        for fields, expected in cases:
            pages = await all_failed(scene.failed_jobs, FailedFilter(**fields), 2)
            assert flat(pages) == [str(number) for number in reversed(expected)]

    async def test_what_happens_between_two_pages_moves_no_record(self, scene: Scene) -> None:
        await scene.record(*(str(number) for number in range(6)))
        first = await scene.failed_jobs.search(limit=3)
        await scene.record("new")
        await scene.failed_jobs.forget("3")  # the place from which the next page goes on
        await scene.failed_jobs.forget("5")
        second = await scene.failed_jobs.search(after=first.next)
        assert [[failed.id for failed in page.jobs] for page in (first, second)] == [["5", "4", "3"], ["2", "1", "0"]]

    async def test_records_of_one_instant_are_paged_as_well(self, scene: Scene) -> None:
        for number in range(5):
            await scene.failed_jobs.record(make_job(str(number)), "mail", Failure("E", "E"))
        pages = await all_failed(scene.failed_jobs, None, 2)
        assert sorted(flat(pages)) == ["0", "1", "2", "3", "4"]

    @pytest.mark.parametrize("after", ["", "x", "W10", "\0", "é", "=", "WyJhIl0", "x" * 5_000, 7, HUGE])
    async def test_what_is_no_cursor_is_refused(self, scene: Scene, after: Any) -> None:
        store = scene.failed_jobs
        for call in (
            store.search(after=after),
            store.retry_many(FailedFilter(), after=after),
            store.forget_many(FailedFilter(), after=after),
        ):
            with pytest.raises(InvalidValue, match="after"):
                await call

    @pytest.mark.parametrize("limit", [0, -1, 1_001, True, 1.5, "1", None])
    async def test_what_is_no_limit_is_refused(self, scene: Scene, limit: Any) -> None:
        store = scene.failed_jobs
        for call in (
            store.search(limit=limit),
            store.groups(limit=limit),
            store.retry_many(FailedFilter(), limit=limit),
            store.forget_many(FailedFilter(), limit=limit),
        ):
            with pytest.raises(InvalidValue, match="limit"):
                await call

    # --- Counts and groups ------------------------------------------------------------------------

    async def test_a_count_is_of_what_the_filter_means(self, scene: Scene) -> None:
        assert await scene.failed_jobs.count() == await scene.failed_jobs.count(FailedFilter(queue="mail")) == 0
        await scene.record("1", "2", "3")
        await scene.record("4", queue="bulk", message="odd")
        assert await scene.failed_jobs.count() == await scene.failed_jobs.count(FailedFilter()) == 4
        assert await scene.failed_jobs.count(FailedFilter(queue="mail")) == 3
        assert await scene.failed_jobs.count(FailedFilter(text="odd")) == 1
        assert await scene.failed_jobs.count(FailedFilter(ids=("1", "4", "5"))) == 2

    async def test_a_cap_ends_the_count_at_so_many_of_the_newest(self, scene: Scene) -> None:
        await scene.record("1", message="odd")
        await scene.record("2", "3", queue="bulk")
        await scene.record("4", "5")
        count = scene.failed_jobs.count
        assert [await count(cap=cap) for cap in (1, 4, 5, 6)] == [1, 4, 5, 5]
        assert [await count(FailedFilter(queue="bulk"), cap=cap) for cap in (1, 2, 3)] == [1, 2, 2]
        assert [await count(FailedFilter(text="odd"), cap=cap) for cap in (4, 5)] == [0, 1]
        assert [await count(FailedFilter(queue="mail", text="odd"), cap=cap) for cap in (2, 3)] == [0, 1]
        assert await count(FailedFilter(ids=("1",)), cap=1) == 1

    @pytest.mark.parametrize("cap", [0, -1, True, 2.0])
    async def test_what_is_no_cap_is_refused(self, scene: Scene, cap: Any) -> None:
        with pytest.raises(InvalidValue, match="cap"):
            await scene.failed_jobs.count(cap=cap)

    async def test_queues_are_the_labels_that_have_records(self, scene: Scene) -> None:
        assert await scene.failed_jobs.queues() == {}
        await scene.record("1", "2", queue="mail")
        await scene.record("3", queue="Zeta")
        queues = await scene.failed_jobs.queues()
        assert list(queues.items()) == [("Zeta", 1), ("mail", 2)]
        await scene.failed_jobs.forget("3")
        assert await scene.failed_jobs.queues() == {"mail": 2}

    async def test_groups_are_by_kind_and_name_the_largest_first(self, scene: Scene) -> None:
        assert await scene.failed_jobs.groups() == []
        await scene.record("1", kind="B", name="Mail")
        await scene.record("2", kind="A", name="Mail")
        await scene.record("3", kind="B", name="Bill")
        await scene.record("4", kind="B", name="Mail", queue="bulk")
        at = {job_id: (await scene.failed_jobs.get(job_id)).failed_at for job_id in "1234"}
        largest = FailureGroup("B", "Mail", 2, at["1"], at["4"], "4")
        rest = [
            FailureGroup("A", "Mail", 1, at["2"], at["2"], "2"),
            FailureGroup("B", "Bill", 1, at["3"], at["3"], "3"),
        ]
        assert await scene.failed_jobs.groups() == [largest, *rest]
        assert await scene.failed_jobs.groups(limit=1) == [largest]
        in_mail = await scene.failed_jobs.groups(FailedFilter(queue="mail"))
        assert [(group.kind, group.name, group.count) for group in in_mail] == [
            ("A", "Mail", 1),
            ("B", "Bill", 1),
            ("B", "Mail", 1),
        ]
        assert await scene.failed_jobs.groups(FailedFilter(text="nothing like it")) == []

    # --- Retrying and forgetting many ---------------------------------------------------------------

    async def test_retrying_many_brings_those_back_that_are_meant_oldest_first(self, scene: Scene) -> None:
        await scene.record("1", "2", "3")
        await scene.record("4", queue="bulk")
        result = await scene.failed_jobs.retry_many(FailedFilter(queue="mail"))
        assert result == BulkResult(3, [], None)
        assert await scene.kept() == ["4"]
        jobs = await scene.queue.pop_many(5, labels=["mail"])
        assert [(job.id, job.attempts, job.queue, job.payload) for job in jobs] == [
            (job_id, 1, "mail", b'"secret"') for job_id in "123"
        ]

    async def test_many_are_retried_by_batches_to_the_end(self, scene: Scene) -> None:
        await scene.record(*(str(number) for number in range(7)))
        first = await scene.failed_jobs.retry_many(FailedFilter(), limit=3)
        assert first.done == 3
        assert first.next is not None
        assert await scene.kept() == ["6", "5", "4", "3"]
        results = await all_of_it(scene.failed_jobs.retry_many, FailedFilter(), 3)
        assert sum(result.done for result in results) == 4
        assert await scene.kept() == []
        assert await scene.queue.size(labels=["mail"]) == 7

    async def test_what_is_live_is_skipped_and_told_and_stays_kept_and_the_rest_is_retried(self, scene: Scene) -> None:
        await scene.record("1", "2", "3", "4")
        await scene.push("1", "3", queue="mail", payload=b"new")
        results = await all_of_it(scene.failed_jobs.retry_many, FailedFilter(), 1)
        assert sum(result.done for result in results) == 2
        assert flat(result.skipped for result in results) == ["1", "3"]
        assert await scene.kept() == ["3", "1"]
        jobs = await scene.queue.pop_many(5, labels=["mail"])
        assert {job.id: job.payload for job in jobs} == {
            "1": b"new", "2": b'"secret"', "3": b"new", "4": b'"secret"',
        }  # fmt: skip

    async def test_what_fails_again_meanwhile_is_not_retried_for_ever(self, scene: Scene) -> None:
        await scene.record("1", "2", "3")
        after: str | None = None
        for round_ in range(10):
            result = await scene.failed_jobs.retry_many(FailedFilter(), after=after, limit=1)
            for job in await scene.queue.pop_many(1, labels=["mail"]) if result.done else []:
                scene.clock.advance(1)
                await scene.queue.fail(job, Failure("E", f"E: {round_}"))
            after = result.next
            if after is None:
                break
        assert after is None
        assert sorted(failed.error for failed in (await scene.failed_jobs.search()).jobs) == ["E: 0", "E: 1", "E: 2"]

    async def test_retrying_by_ids_takes_no_others(self, scene: Scene) -> None:
        await scene.record("1", "2", "3")
        result = await scene.failed_jobs.retry_many(FailedFilter(ids=("3", "1", "unknown")))
        assert (result.done, result.skipped, result.next) == (2, [], None)
        assert await scene.kept() == ["2"]

    async def test_what_is_retried_with_others_is_due_now(self, scene: Scene) -> None:
        await scene.failed_jobs.record(
            make_job("1", available_at=scene.clock.now() + timedelta(days=1)), "default", Failure("E", "E")
        )
        await scene.failed_jobs.retry_many(FailedFilter())
        assert (await scene.queue.pop()).id == "1"

    async def test_forgetting_many_drops_those_that_are_meant_and_brings_none_back(self, scene: Scene) -> None:
        await scene.record("1", "2", "3", "4", "5")
        await scene.record("6", queue="bulk")
        first = await scene.failed_jobs.forget_many(FailedFilter(queue="mail"), limit=2)
        assert (first.done, first.skipped) == (2, [])
        assert await scene.kept() == ["6", "5", "4", "3"]
        second = await scene.failed_jobs.forget_many(FailedFilter(queue="mail"), after=first.next)
        assert (second.done, second.next) == (3, None)
        assert await scene.kept() == ["6"]
        assert await scene.queue.size(labels=["mail", "bulk"]) == 0
        assert await scene.failed_jobs.forget_many(FailedFilter(queue="mail")) == BulkResult(0, [], None)

    async def test_what_is_recorded_after_the_first_batch_is_not_forgotten_with_the_rest(self, scene: Scene) -> None:
        await scene.record("1", "2", "3")
        first = await scene.failed_jobs.forget_many(FailedFilter(), limit=1)
        await scene.record("2", "4")  # one of them fails again, so that its record is a new one
        second = await scene.failed_jobs.forget_many(FailedFilter(), after=first.next)
        assert (second.done, second.next) == (1, None)
        assert await scene.kept() == ["4", "2"]

    async def test_a_live_jobs_record_can_be_forgotten(self, scene: Scene) -> None:
        await scene.record("1")
        await scene.push("1", queue="mail")
        with pytest.raises(DuplicateJob):
            await scene.failed_jobs.retry("1")
        assert (await scene.failed_jobs.forget_many(FailedFilter())).done == 1
        assert await scene.queue.size(labels=["mail"]) == 1


class DetailedInspectorRules:
    async def test_it_is_a_detailed_inspector_over_the_queues_store(self, scene: Scene) -> None:
        assert isinstance(scene.inspector, DetailedInspector)
        assert scene.inspector.failed_jobs is scene.failed_jobs

    async def test_an_empty_queue_shows_nothing(self, scene: Scene) -> None:
        assert await scene.inspector.depths() == []
        for state in ("pending", "delayed", "reserved"):
            assert await scene.inspector.jobs(state) == JobPage([], None)
        with pytest.raises(JobNotFound, match="'nobody'"):
            await scene.inspector.job("nobody")

    # --- Depths -----------------------------------------------------------------------------------

    async def test_depths_count_each_state_under_each_label(self, scene: Scene) -> None:
        await scene.push("p1", "p2", "r1", queue="mail")
        await scene.push("d1", "d2", queue="mail", delay=60)
        await scene.push("b1", queue="bulk", delay=60)
        await scene.queue.pop(labels=["mail"])
        await scene.record("f1", queue="mail")
        await scene.record("f2", queue="gone")
        assert [(d.queue, d.pending, d.delayed, d.reserved, d.failed) for d in await scene.inspector.depths()] == [
            ("bulk", 0, 1, 0, 0),
            ("gone", 0, 0, 0, 1),
            ("mail", 2, 2, 1, 1),
        ]

    async def test_a_label_leaves_with_its_last_job(self, scene: Scene) -> None:
        await scene.push("1")
        job = await scene.queue.pop()
        assert await scene.inspector.depths() == [QueueDepth("default", reserved=1)]
        await scene.queue.ack(job)
        assert await scene.inspector.depths() == []

    async def test_oldest_is_how_long_the_first_due_job_has_been_due(self, scene: Scene) -> None:
        await scene.push("1", delay=10)
        assert (await scene.inspector.depths())[0].oldest is None
        scene.clock.advance(12)
        await scene.push("2", priority=5)
        scene.clock.advance(3)
        (depth,) = await scene.inspector.depths()
        assert depth.pending == 2
        assert depth.oldest == pytest.approx(5, abs=0.001)
        await scene.push("3", priority=9, delay=1)
        scene.clock.advance(2)
        assert (await scene.inspector.depths())[0].oldest == pytest.approx(7, abs=0.001)
        assert [(await scene.queue.pop()).id for _ in range(2)] == ["3", "2"]
        await scene.push("4", priority=-1)
        assert (await scene.inspector.depths())[0].oldest == pytest.approx(7, abs=0.001)
        await scene.queue.pop_many(2)
        assert (await scene.inspector.depths())[0].oldest is None

    async def test_a_delayed_job_becomes_pending_when_it_is_due(self, scene: Scene) -> None:
        await scene.push("1", delay=10)
        assert [(d.pending, d.delayed) for d in await scene.inspector.depths()] == [(0, 1)]
        scene.clock.advance(10)
        assert [(d.pending, d.delayed) for d in await scene.inspector.depths()] == [(1, 0)]
        assert [view.state for view in (await scene.inspector.jobs("pending")).jobs] == ["pending"]
        assert (await scene.inspector.jobs("delayed")).jobs == []

    # --- Jobs -------------------------------------------------------------------------------------

    async def test_a_job_shows_where_it_stands(self, scene: Scene) -> None:
        start = scene.clock.now()
        await scene.push("1", queue="mail", priority=4, delay=10)
        (delayed,) = (await scene.inspector.jobs("delayed")).jobs
        assert (delayed.id, delayed.queue, delayed.name, delayed.attempts, delayed.priority) == (
            "1", "mail", "Mail", 0, 4,
        )  # fmt: skip
        assert delayed.available_at is not None
        assert abs(delayed.available_at - start - timedelta(seconds=10)) < timedelta(milliseconds=1)
        assert (delayed.reserved_at, delayed.reserved_until) == (None, None)
        scene.clock.advance(15)
        job = await scene.queue.pop(labels=["mail"])
        (reserved,) = (await scene.inspector.jobs("reserved")).jobs
        assert (reserved.state, reserved.attempts) == ("reserved", 1)
        assert reserved.reserved_at is not None
        assert reserved.reserved_until is not None
        assert abs(reserved.reserved_at - start - timedelta(seconds=15)) < timedelta(milliseconds=1)
        assert abs(reserved.reserved_until - reserved.reserved_at - timedelta(seconds=VISIBILITY_TIMEOUT)) < timedelta(
            milliseconds=1
        )
        scene.clock.advance(5)
        await scene.queue.extend(job)
        (extended,) = (await scene.inspector.jobs("reserved")).jobs
        assert extended.reserved_at == reserved.reserved_at
        assert extended.reserved_until is not None
        assert abs(extended.reserved_until - reserved.reserved_until - timedelta(seconds=5)) < timedelta(milliseconds=1)
        await scene.queue.nack(job, 30)
        (again,) = (await scene.inspector.jobs("delayed")).jobs
        assert (again.attempts, again.reserved_at, again.reserved_until) == (1, None, None)

    async def test_waiting_jobs_come_in_the_order_of_pop(self, scene: Scene) -> None:
        await scene.push("late", delay=2)
        await scene.push("early", "early too", delay=1)
        await scene.push("urgent", delay=3, priority=1)
        await scene.push("not urgent", priority=-1)
        assert flat(await all_jobs(scene.inspector, "delayed", None, 2)) == ["urgent", "early", "early too", "late"]
        scene.clock.advance(5)
        shown = flat(await all_jobs(scene.inspector, "pending", "default", 2))
        assert shown == ["urgent", "early", "early too", "late", "not urgent"]
        assert shown == [(await scene.queue.pop()).id for _ in range(5)]

    async def test_reserved_jobs_come_in_the_order_in_which_their_reservations_end(self, scene: Scene) -> None:
        await scene.push("a", "b", "c")
        first = await scene.queue.pop()
        for _ in range(2):
            scene.clock.advance(1)
            await scene.queue.pop()
        assert flat(await all_jobs(scene.inspector, "reserved", None, 1)) == ["a", "b", "c"]
        await scene.queue.extend(first)
        scene.clock.advance(1)
        await scene.queue.extend(first)
        assert flat(await all_jobs(scene.inspector, "reserved", None, 1)) == ["b", "c", "a"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
    async def test_pages_hold_each_job_once_and_end(self, scene: Scene, limit: int) -> None:
        for number in range(12):
            await scene.push(
                f"p{number}", queue=("a", "b", "c")[number % 3], priority=number % 2, delay=0 if number % 4 else 900
            )
        await scene.queue.pop_many(6, labels=["b", "a"])
        for queue in (None, "a", "b", "c", "unknown"):
            shown: list[str] = []
            for state in ("pending", "delayed", "reserved"):
                pages = await all_jobs(scene.inspector, state, queue, limit)
                assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
                assert len(pages) == 1 or 0 < len(pages[-1]) <= limit
                shown += flat(pages)
            expected = [f"p{number}" for number in range(12) if queue in (None, ("a", "b", "c")[number % 3])]
            assert sorted(shown) == sorted(expected)

    async def test_labels_come_one_after_another(self, scene: Scene) -> None:
        await scene.push("1", queue="b", priority=9)
        await scene.push("2", queue="a")
        await scene.push("3", queue="B")
        assert flat(await all_jobs(scene.inspector, "pending", None, 1)) == ["3", "2", "1"]

    async def test_what_is_pushed_and_popped_between_two_pages_moves_no_other_job(self, scene: Scene) -> None:
        await scene.push("1", "2", "3", "4")
        first = await scene.inspector.jobs("pending", limit=2)
        await scene.queue.pop_many(2)
        await scene.push("first of all", priority=1)
        second = await scene.inspector.jobs("pending", after=first.next)
        assert [view.id for view in second.jobs] == ["3", "4"]

    async def test_a_job_can_be_seen_whole_but_for_its_receipt(self, scene: Scene) -> None:
        await scene.push("1", queue="mail", headers={"trace": "t"}, payload=b"\x00\xff")
        await scene.push("2", queue="mail", delay=5)
        popped = await scene.queue.pop(labels=["mail"])
        detail = await scene.inspector.job("1")
        assert (detail.view.state, detail.view.attempts) == ("reserved", 1)
        assert (detail.job.id, detail.job.payload, detail.job.headers) == ("1", b"\x00\xff", {"trace": "t"})
        assert detail.job.receipt is None
        assert detail.view == (await scene.inspector.jobs("reserved")).jobs[0]
        assert (await scene.inspector.job("2")).view.state == "delayed"
        await scene.queue.fail(popped)
        with pytest.raises(JobNotFound) as caught:
            await scene.inspector.job("1")
        assert caught.value.job_id == "1"

    # --- Bad input --------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["failed", "", "Pending", None])
    async def test_what_is_no_state_of_a_live_job_is_refused(self, scene: Scene, state: Any) -> None:
        with pytest.raises(InvalidValue, match="state"):
            await scene.inspector.jobs(state)

    @pytest.mark.parametrize("limit", [0, 1_001, True, "5"])
    async def test_what_is_no_limit_is_refused(self, scene: Scene, limit: Any) -> None:
        with pytest.raises(InvalidValue, match="limit"):
            await scene.inspector.jobs("pending", limit=limit)

    @pytest.mark.parametrize("label", ["", "x" * 101, "a\0b", 5])
    async def test_what_is_no_label_is_refused(self, scene: Scene, label: Any) -> None:
        with pytest.raises(InvalidValue, match="label"):
            await scene.inspector.jobs("pending", label)
        with pytest.raises(InvalidValue, match="label"):
            await scene.inspector.history(label)

    @pytest.mark.parametrize("state", ["pending", "delayed", "reserved"])
    @pytest.mark.parametrize("after", ["", "x", "W10", "\0", "é", NUL, HUGE, "x" * 5_000])
    async def test_what_is_no_cursor_is_refused(self, scene: Scene, state: LiveState, after: str) -> None:
        with pytest.raises(InvalidValue, match="after"):
            await scene.inspector.jobs(state, after=after)

    @pytest.mark.parametrize("minutes", [0, -1, 1_441, True, 1.5, "5"])
    async def test_a_history_is_of_whole_minutes_of_the_last_day(self, scene: Scene, minutes: Any) -> None:
        for call in (scene.inspector.history(minutes=minutes), scene.inspector.activity(minutes=minutes)):
            with pytest.raises(InvalidValue, match="minutes"):
                await call

    # --- What was done ----------------------------------------------------------------------------

    async def test_before_anything_is_done_a_history_is_flat_and_no_label_is_active(self, scene: Scene) -> None:
        assert busy(await scene.inspector.history()) == []
        assert await scene.inspector.activity() == []

    async def test_a_history_has_what_was_done_in_each_ten_seconds_and_how_long_it_took(self, scene: Scene) -> None:
        scene.begin_five_minutes()
        start = scene.clock.now()
        await scene.dispatch(Work(), Work(fails=True))
        scene.clock.advance(30)
        await scene.work()
        scene.clock.advance(9.9)
        assert len(busy(await scene.inspector.history())) == 1  # the ten seconds that run are left out
        scene.clock.advance(0.1)
        pushed, done = busy(await scene.inspector.history(minutes=1))
        assert pushed == ThroughputPoint(start, pushed=2)
        assert done.at == start + timedelta(seconds=30)
        assert (done.pushed, done.processed, done.failed, done.retried) == (0, 1, 1, 1)
        assert done.run.total == 1  # of what was processed
        assert done.wait.total == 3  # of each delivery: two after half a minute, and another attempt at once
        shortest, longest = done.wait.percentile(0.0), done.wait.percentile(1.0)
        assert shortest is not None
        assert longest is not None
        assert shortest <= 0.001
        assert 20 < longest <= 50
        assert await scene.inspector.history("mail", minutes=1) == await scene.inspector.history(minutes=1)
        assert busy(await scene.inspector.history("bulk")) == []
        scene.clock.advance(3_600)
        assert busy(await scene.inspector.history()) == []

    async def test_a_history_of_a_day_has_a_point_for_each_five_minutes(self, scene: Scene) -> None:
        scene.begin_five_minutes()
        start = scene.clock.now()
        for _ in range(3):
            await scene.dispatch(Work())
            await scene.dispatch(Work(), queue="bulk")
            await scene.work()
            scene.clock.advance(100)
        points = await scene.inspector.history(minutes=1_440)
        assert [point.at for point in points] == [start - timedelta(minutes=5 * n) for n in range(287, -1, -1)]
        assert busy(points) == points[-1:]
        together = points[-1]
        assert (together.pushed, together.processed, together.run.total, together.wait.total) == (6, 3, 3, 3)
        (bulk,) = busy(await scene.inspector.history("bulk", minutes=61))
        assert bulk == ThroughputPoint(start, pushed=3)
        scene.clock.advance(86_400)
        assert busy(await scene.inspector.history(minutes=1_440)) == []

    async def test_activity_is_what_each_label_did_in_the_window(self, scene: Scene) -> None:
        scene.begin_five_minutes()
        await scene.dispatch(Work(), Work(fails=True))
        await scene.dispatch(Work(), queue="bulk")
        scene.clock.advance(3)
        await scene.work()
        last_at = scene.clock.now()
        scene.clock.advance(120)
        bulk, mail = await scene.inspector.activity(minutes=5)
        assert (bulk.queue, mail.queue) == ("bulk", "mail")
        assert (bulk.pushed, bulk.last_at) == (1, None)
        assert bulk == QueueActivity("bulk", pushed=1)
        assert (mail.pushed, mail.run.total, mail.wait.total) == (2, 1, 3)
        assert mail.processed == mail.failed == (*[0] * 18, 1, *[0] * 11)
        assert mail.last_at is not None
        assert mail.last_at.utcoffset() == timedelta(0)
        assert abs(mail.last_at - last_at) < timedelta(milliseconds=1)
        scene.clock.advance(600)
        assert await scene.inspector.activity(minutes=5) == [QueueActivity("mail", last_at=mail.last_at)]
        hour = {row.queue: row for row in await scene.inspector.activity()}
        day = {row.queue: row for row in await scene.inspector.activity(minutes=1_440)}
        for rows in (hour, day):
            assert sum(rows["mail"].processed) == sum(rows["mail"].failed) == rows["bulk"].pushed == 1
            assert (rows["mail"].run, rows["mail"].wait) == (mail.run, mail.wait)
        scene.clock.advance(2 * 86_400)
        assert await scene.inspector.activity(minutes=1_440) == [QueueActivity("mail", last_at=mail.last_at)]

    async def test_what_runs_now_counts_in_a_labels_figures_though_no_part_shows_it(self, scene: Scene) -> None:
        scene.begin_five_minutes()
        await scene.dispatch(Work())
        await scene.work()
        for minutes in (1, 60, 1_440):
            (row,) = await scene.inspector.activity(minutes=minutes)
            assert (row.pushed, row.run.total, row.wait.total, sum(row.processed)) == (1, 1, 1, 0)

    # --- Health -----------------------------------------------------------------------------------

    async def test_a_store_that_was_just_made_is_well(self, scene: Scene) -> None:
        checks = await scene.inspector.health()
        assert [check for check in checks if check.level != "good" or check.remedy] == []
        assert len({check.name for check in checks}) == len(checks)
        assert all(check.finding.endswith(".") for check in checks)


def busy(points: list[ThroughputPoint]) -> list[ThroughputPoint]:
    """Return the points at which anything was done."""
    return [point for point in points if point != ThroughputPoint(point.at)]
