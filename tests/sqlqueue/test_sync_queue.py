"""`SyncSQLQueue`: pushing without an event loop, to the tables that a `SQLQueue` pops from."""

from __future__ import annotations

import asyncio
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from lagoqueue import DuplicateJob, InvalidJob, InvalidValue, Job, QueueClosed, SchemaMissing, dispatch_sync
from lagoqueue_sql import SQLQueue, SyncSQLQueue
from tests.core.recorder import Recorder
from tests.sqlqueue.payloads import Effect

A, B = (Job(each, "Example", b"{}") for each in "ab")


@pytest.fixture(params=["url", "postgres_url", "mariadb_url"], ids=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


async def popped(url: str, *labels: str) -> list[str]:
    async with SQLQueue(url) as queue:
        return [job.id for job in await queue.named(*labels or ("default",)).pop_many(100)]


def test_what_is_pushed_is_popped_by_a_queue_on_the_same_tables(database_url: str) -> None:
    recorder = Recorder()
    with SyncSQLQueue(database_url) as queue:
        queue.setup()
        queue.observers.append(recorder)
        jobs = [dispatch_sync(queue, Effect(1), priority=2), dispatch_sync(queue.named("mail", "bulk"), Effect(2))]
        assert queue.push_many_sync([A, B]) == 2
        assert not queue.push_sync(A, exist_ok=True)
        with pytest.raises(DuplicateJob):
            queue.push_sync(A)
        assert queue.named("mail").push_many_sync([Job("c", "Example", b"{}")]) == 1
    assert asyncio.run(popped(database_url)) == [jobs[0].id, "a", "b"]
    assert asyncio.run(popped(database_url, "mail")) == [jobs[1].id, "c"]
    assert recorder.names() == ["pushed", "pushed"]


def test_it_pushes_within_a_callers_transaction(database_url: str) -> None:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with SyncSQLQueue(engine) as queue, Session(engine) as session:
        queue.setup()
        dispatch_sync(queue.within(session), Effect(1))
        session.rollback()
        dispatch_sync(queue.named("mail").within(session), Effect(2), id="kept")
        session.commit()
    assert asyncio.run(popped(database_url, "default", "mail")) == ["kept"]


def test_many_threads_may_push_at_once(url: str) -> None:
    with SyncSQLQueue(url, synchronous="normal") as queue:
        queue.setup()

        def push(first: int) -> None:
            for number in range(first, first + 10):
                queue.push_sync(Job(str(number), "Example", b"{}"))

        threads = [threading.Thread(target=push, args=(first,)) for first in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(int, asyncio.run(popped(url)))) == list(range(80))


def test_the_tables_and_labels_are_those_that_were_asked_for(url: str) -> None:
    with SyncSQLQueue(url, table="mails", failed_table="dead_mails") as queue:
        assert set(queue.metadata.tables) >= {"mails", "dead_mails"}
        assert (queue.labels, queue.named("x", "y").labels) == (("default",), ("x", "y"))
        with pytest.raises(SchemaMissing):
            queue.push_sync(A)
        with pytest.raises(InvalidJob):
            queue.named("")
        with pytest.raises(InvalidValue):
            queue.push_sync(A, delay=-1)


def test_a_closed_queue_says_so(url: str) -> None:
    with SyncSQLQueue(url) as queue:
        queue.setup()
    with pytest.raises(QueueClosed):
        queue.push_sync(A)
    queue.close()


def test_bad_settings_are_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="synchronous"):
        SyncSQLQueue(url, synchronous="off")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="not int"):
        SyncSQLQueue(42)  # type: ignore[arg-type]
