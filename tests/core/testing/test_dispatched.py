"""`assert_dispatched` finds the job, or says what there is instead."""

from __future__ import annotations

import pytest

from lagoqueue import MemoryQueue, PayloadDecodeError, dispatch, dispatch_after
from lagoqueue.job import Job
from lagoqueue.testing import ManualClock, assert_dispatched, refute_dispatched
from tests.core.payloads import Charge, Point, Reminder, Resize, SendWelcomeEmail
from tests.core.testing.simple_queue import SimpleQueue


async def test_it_returns_the_payload() -> None:
    queue = MemoryQueue()
    await dispatch(queue, SendWelcomeEmail(1))
    await dispatch_after(queue, SendWelcomeEmail(2), 600)
    assert assert_dispatched(queue, SendWelcomeEmail) == SendWelcomeEmail(1)
    assert assert_dispatched(queue, SendWelcomeEmail, user_id=2) == SendWelcomeEmail(2)
    assert assert_dispatched(queue, SendWelcomeEmail, lambda payload: payload.user_id > 1) == SendWelcomeEmail(2)
    with pytest.raises(AssertionError):
        assert_dispatched(queue, SendWelcomeEmail, lambda payload: payload.user_id > 1, user_id=1)


async def test_every_kind_of_payload() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Charge("o-1", 500))
    await dispatch(queue, Point(1, 2))
    await dispatch(queue, {"text": "call back"}, payload_type=Reminder)
    assert assert_dispatched(queue, Charge, order="o-1").cents == 500
    assert assert_dispatched(queue, Point, x=1) == (1, 2)
    assert assert_dispatched(queue, Reminder, text="call back") == {"text": "call back"}


async def test_a_reserved_job_counts_and_a_finished_one_does_not() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Resize(5))
    job = await queue.pop()
    assert_dispatched(queue, Resize, width=5)
    await queue.ack(job)
    refute_dispatched(queue, Resize)


async def test_the_message_lists_what_is_there() -> None:
    queue = MemoryQueue()
    with pytest.raises(AssertionError, match="no Charge was dispatched; the queue holds no jobs"):
        assert_dispatched(queue, Charge)
    await dispatch(queue.named("mail"), SendWelcomeEmail(7), id="e-7")
    with pytest.raises(AssertionError) as caught:
        assert_dispatched(queue, SendWelcomeEmail, user_id=8)
    assert str(caught.value) == (
        "no SendWelcomeEmail with user_id=8 was dispatched; the queue holds 1 job:\n"
        '  SendWelcomeEmail {"user_id":7} in mail (id e-7)'
    )


async def test_the_message_stays_short() -> None:
    queue = MemoryQueue()
    for number in range(50):
        await queue.push(Job(id=f"{number}", name="Big", payload=b"\xff" * 100_000))
    with pytest.raises(AssertionError, match="and 30 more") as caught:
        assert_dispatched(queue, Charge)
    assert len(str(caught.value)) < 20_000


async def test_refute_raises_when_there_is_one() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Charge("o-1", 500))
    refute_dispatched(queue, Resize)
    refute_dispatched(queue, Charge, order="o-2")
    with pytest.raises(AssertionError, match="Charge with order='o-1' was dispatched, and should not have been: 1 job"):
        refute_dispatched(queue, Charge, order="o-1")


async def test_a_view_looks_at_its_own_labels() -> None:
    queue = MemoryQueue()
    mail = queue.named("mail", "bulk")
    await dispatch(queue, Resize(1))
    await dispatch(queue.named("bulk"), Resize(2))
    assert assert_dispatched(mail, Resize).width == 2
    refute_dispatched(mail, Resize, width=1)
    assert_dispatched(queue, Resize, width=2)


async def test_a_misspelt_field_is_an_error_and_no_difference() -> None:
    queue = MemoryQueue()
    await dispatch(queue, Charge("o-1", 500))
    await dispatch(queue, {"text": "x"}, payload_type=Reminder)
    with pytest.raises(AttributeError):
        refute_dispatched(queue, Charge, oder="o-1")
    with pytest.raises(KeyError):
        refute_dispatched(queue, Reminder, txt="x")


async def test_a_payload_of_another_shape_is_an_error() -> None:
    queue = MemoryQueue()
    await queue.push(Job(id="a", name="Charge", payload=b'{"order": 1}'))
    with pytest.raises(PayloadDecodeError):
        refute_dispatched(queue, Charge)


def test_other_queues_cannot_be_looked_into() -> None:
    queue = SimpleQueue(ManualClock())
    for each in (queue, queue.named("mail")):
        with pytest.raises(TypeError, match="MemoryQueue, not in a SimpleQueue"):
            assert_dispatched(each, Charge)
