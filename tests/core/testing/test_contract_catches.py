"""The suite and the machine find the faults they are there for, and accept a driver that has none."""

from __future__ import annotations

import gc
import unittest

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lagoqueue.queue import Queue
from lagoqueue.testing import ManualClock, QueueContract
from lagoqueue.testing.contract.hooks import Hooks
from lagoqueue.testing.machine import QueueMachine
from tests.core.testing import broken_queues as broken
from tests.core.testing.simple_queue import SimpleQueue


class SimpleContract(QueueContract):
    driver: type[SimpleQueue] = SimpleQueue

    def setUp(self) -> None:
        self.clock = ManualClock()

    async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
        return self.driver(self.clock, visibility_timeout)

    async def advance(self, seconds: float) -> None:
        await self.clock.elapse(seconds)


class TestSimpleQueue(SimpleContract, unittest.IsolatedAsyncioTestCase):
    pass


def run_one(driver: type[SimpleQueue], test: str) -> unittest.TestResult:
    class Case(SimpleContract, unittest.IsolatedAsyncioTestCase):
        patience = 0.3

    Case.driver = driver
    result = unittest.TestResult()
    Case(test).run(result)
    gc.collect()  # what a broken driver abandoned complains here, and not in the middle of another test
    return result


CATCHES = [
    (broken.NoFence, "test_a_worker_that_lost_its_job_to_another_is_refused"),
    (broken.NoFence, "test_a_stale_receipt_leaves_the_next_reservation_alone"),
    (broken.NoFence, "test_a_forged_receipt_is_refused"),
    (broken.NoFence, "test_settle_tells_the_stale_receipt_of_an_id_from_the_good_one"),
    (broken.FenceByAttempts, "test_receipts_never_repeat_for_an_id"),
    (broken.FenceByAttempts, "test_a_receipt_from_before_a_retry_is_refused"),
    (broken.FenceByAttempts, "test_a_receipt_from_before_a_new_push_is_refused"),
    (broken.AcceptsNoReceipt, "test_a_job_that_was_never_popped_cannot_be_settled"),
    (broken.StaleNackCounts, "test_a_worker_that_lost_its_job_to_another_is_refused"),
    (broken.StaleNackCounts, "test_a_job_that_waits_again_cannot_be_settled"),
    (broken.Early, "test_a_delayed_push_is_not_early"),
    (broken.Early, "test_available_at_is_not_early"),
    (broken.DoubleDelivery, "test_poppers_never_share_a_job"),
    (broken.DoubleDelivery, "test_everything_pushed_while_others_wait_is_delivered_once"),
    (broken.LastInFirstOut, "test_equal_jobs_come_in_push_order"),
    (broken.NoPriority, "test_a_higher_priority_comes_first"),
    (broken.PushOrderOnly, "test_the_earlier_due_comes_first"),
    (broken.PushOrderOnly, "test_a_returned_job_goes_behind_what_was_due_before"),
    (broken.DropsOnFail, "test_fail_records_the_job_and_why"),
    (broken.CopiesOnFail, "test_an_id_is_free_after_burial"),
    (broken.CopiesOnFail, "test_a_job_is_settled_once"),
    (broken.CountsWhenSettled, "test_the_first_delivery_is_attempt_one"),
    (broken.CountsWhenSettled, "test_an_expired_reservation_spends_the_attempt"),
    (broken.ReleaseSpends, "test_release_gives_the_attempt_back"),
    (broken.NeverExpires, "test_an_expired_job_is_delivered_again"),
    (broken.ExtendDoesNothing, "test_extend_moves_the_expiry"),
    (broken.ExtendDoesNothing, "test_a_keeper_extends_from_another_thread"),
    (broken.BeatsForShow, "test_a_beat_keeps_what_is_held_and_reports_what_is_lost"),
    (broken.CannotBeatIdly, "test_a_worker_that_holds_nothing_beats_as_well"),
    (broken.NoRetryDelay, "test_nack_delays_the_retry"),
    (broken.NobodyWakes, "test_a_push_wakes_a_waiting_pop"),
    (broken.SwallowsWakeUps, "test_a_cancelled_pop_passes_its_wake_up_on"),
    (broken.SwallowsWakeUps, "test_a_push_wakes_who_waits_on_its_label"),
    (broken.LabelBlind, "test_a_queue_serves_the_default_label"),
    (broken.TrimsIds, "test_hostile_ids_stay_apart"),
    (broken.TextPayload, "test_any_payload_comes_out_as_it_went_in"),
    (broken.Overwrites, "test_a_waiting_id_is_live"),
    (broken.Overwrites, "test_one_of_many_pushes_of_an_id_wins"),
    (broken.AcceptsAnything, "test_push_refuses_an_invalid_job"),
    (broken.LosesNothing, "test_settle_returns_exactly_the_lost_ones"),
    (broken.StopsAtTheFirstLost, "test_settle_returns_exactly_the_lost_ones"),
    (broken.ClosesSilently, "test_close_wakes_waiting_pops"),
    (broken.CountsReserved, "test_size_counts_what_waits"),
]


@pytest.mark.parametrize(("driver", "test"), CATCHES, ids=lambda value: getattr(value, "__name__", value))
def test_the_contract_catches(driver: type[SimpleQueue], test: str) -> None:
    assert run_one(SimpleQueue, test).wasSuccessful()
    assert not run_one(driver, test).wasSuccessful()


def test_every_broken_driver_is_tried() -> None:
    drivers = {value for value in vars(broken).values() if isinstance(value, type) and issubclass(value, SimpleQueue)}
    assert drivers - {SimpleQueue} == {driver for driver, _ in CATCHES}


def explore(driver: type[SimpleQueue], examples: int) -> None:
    class Machine(QueueMachine):
        async def open_queue(self, clock: ManualClock, *, visibility_timeout: float) -> Queue:
            return driver(clock, visibility_timeout)

    chosen = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        print_blob=False,
    )
    run_state_machine_as_test(Machine, settings=chosen)


@pytest.mark.parametrize(
    "driver",
    [
        broken.NoFence,
        broken.FenceByAttempts,
        broken.StaleNackCounts,
        broken.Early,
        broken.LastInFirstOut,
        broken.NoPriority,
        broken.PushOrderOnly,
        broken.DropsOnFail,
        broken.CopiesOnFail,
        broken.CountsWhenSettled,
        broken.ReleaseSpends,
        broken.NeverExpires,
        broken.NoRetryDelay,
        broken.LabelBlind,
        broken.Overwrites,
        broken.TextPayload,
        broken.LosesNothing,
        broken.StopsAtTheFirstLost,
        broken.CountsReserved,
    ],
)
def test_the_machine_catches(driver: type[SimpleQueue]) -> None:
    with pytest.raises(AssertionError):
        explore(driver, 300)


def test_the_machine_accepts_a_driver_without_faults() -> None:
    explore(SimpleQueue, 60)


def test_rules_are_named_and_described() -> None:
    names = [name for name in dir(QueueContract) if name.startswith("test_")]
    assert len(names) > 100
    for name in names:
        doc = getattr(QueueContract, name).__doc__
        assert (doc or "").strip().endswith("."), name


def test_the_mixins_are_no_test_cases_of_their_own() -> None:
    assert not issubclass(Hooks, unittest.TestCase)


def test_open_queue_says_what_is_missing() -> None:
    class Forgetful(QueueContract, unittest.IsolatedAsyncioTestCase):
        pass

    result = unittest.TestResult()
    Forgetful("test_ack_removes_the_job").run(result)
    assert "Forgetful must define open_queue()" in result.errors[0][1]
