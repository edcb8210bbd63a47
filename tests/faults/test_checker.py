"""The checker sees what it is to see: hand-written histories, each of which breaks one invariant and no other."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.faults.checker import Left, Record, Rules, check
from tests.faults.handler_faults import nothing
from tests.faults.journal import Event, What
from tests.faults.scenario import SQLITE, Load, Scenario
from tests.faults.stage import Stage

LEASE, MAX_RETRY = 3.0, 3
ANN, BOB = 1, 2
"""Two workers."""


class History:
    """What is noted of one job, and of the workers that have it; each line is one event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def at(self, at: float, what: What, pid: int = 0, attempts: int = 0, note: str = "", *, row: int = 1) -> Self:
        """Note an event. A receipt is made of the row, the worker and the attempt, so deliveries differ in it."""
        job = "" if what in (What.KILLED, What.SILENCED, What.WOKEN, What.STOPPED, What.AWAY, What.BACK) else "job-1"
        receipt = f"{row}-{pid}{attempts}" if attempts else ""
        self.events.append(Event(at, what, pid, job, receipt, attempts, note))
        return self

    def pushed(self, at: float = 0.0) -> Self:
        return self.at(at - 0.01, What.PUSHING).at(at, What.PUSHED)

    def ran(self, at: float, pid: int, attempts: int, *, until: float | None = None, error: str = "") -> Self:
        """A delivery, to the end of its handler, or to its beginning if that has none."""
        self.at(at, What.CLAIMED, pid, attempts).at(at + 0.01, What.BEGAN, pid, attempts)
        return self if until is None else self.at(until, What.ENDED, pid, attempts, error)

    def breaches(
        self,
        *,
        jobs: Sequence[str] = (),
        failed: Sequence[str] = (),
        totals: dict[str, int] | None = None,
        waiting: bool = False,
    ) -> list[str]:
        """The invariants that do not hold, where this is left in the database."""
        rules = Rules(LEASE, 0.5, MAX_RETRY, counted=totals is not None, waiting=waiting)
        return [breach.invariant for breach in check(Record(self.events), Left(jobs, failed, totals or {}), rules)]


def done(at: float = 0.1) -> History:
    """Pushed, run and done."""
    return History().pushed().ran(at, ANN, 1, until=at + 0.2).at(at + 0.21, What.PROCESSED, ANN, 1)


def slept() -> History:
    """Ann falls silent with the job in her hands, Bob gets it, and then she wakes up."""
    return History().pushed().ran(0.1, ANN, 1).at(0.2, What.SILENCED, ANN).ran(3.5, BOB, 2).at(3.6, What.WOKEN, ANN)


def stored_twice(note: str) -> History:
    """Stored and done, while its push had not returned, and then stored once more."""
    history = History().at(0.0, What.PUSHING).ran(0.1, ANN, 1, until=0.2).at(0.21, What.PROCESSED, ANN, 1)
    history.at(0.3, What.PUSHED, note=note)
    for number, what in enumerate([What.CLAIMED, What.BEGAN, What.ENDED, What.PROCESSED]):
        history.at(0.4 + number / 100, what, BOB, 1, row=2)
    return history


def retried(delay: float = 1.0) -> History:
    """Run once, in vain, and put back."""
    return History().pushed().ran(0.1, ANN, 1, until=0.2, error="E").at(0.21, What.RETRIED, ANN, 1, f"{delay}")


# --- Good ones ------------------------------------------------------------------------------------


def test_a_job_that_is_done_is_all_right() -> None:
    assert done().breaches(totals={"pushed": 1, "processed": 1, "failed": 0}) == []


def test_a_job_that_is_retried_and_fails_is_all_right() -> None:
    history = retried().ran(1.3, BOB, 2, until=1.4, error="E").at(1.41, What.RETRIED, BOB, 2, "0.1")
    history.ran(1.6, ANN, 3, until=1.7, error="E").at(1.71, What.FAILED, ANN, 3)
    assert history.breaches(failed=["job-1"], totals={"pushed": 1, "processed": 0, "failed": 1}) == []


def test_a_job_that_is_released_and_done_is_all_right() -> None:
    history = (
        History().pushed().ran(0.1, ANN, 1, until=0.2, error="CancelledError").at(0.21, What.RELEASED, ANN, 1, "0")
    )
    assert history.ran(0.3, BOB, 1, until=0.4).at(0.41, What.PROCESSED, BOB, 1).breaches() == []


def test_a_job_whose_worker_is_killed_comes_again() -> None:
    history = History().pushed().ran(0.1, ANN, 1).at(0.2, What.KILLED, ANN)
    assert history.ran(3.5, BOB, 2, until=3.6).at(3.61, What.PROCESSED, BOB, 2).breaches() == []


def test_a_claim_that_a_killed_worker_could_not_note_counts() -> None:
    history = History().pushed().at(0.2, What.KILLED, ANN).ran(3.5, BOB, 2, until=3.6).at(3.61, What.PROCESSED, BOB, 2)
    assert history.breaches() == []


def test_a_worker_that_wakes_up_is_refused() -> None:
    history = slept().at(3.7, What.ENDED, ANN, 1).at(3.71, What.LOST, ANN, 1)
    assert history.at(3.8, What.ENDED, BOB, 2).at(3.81, What.PROCESSED, BOB, 2).breaches() == []


def test_a_worker_may_die_before_it_can_say_that_a_job_is_done() -> None:
    assert History().pushed().ran(0.1, ANN, 1, until=0.3).at(0.4, What.KILLED, ANN).breaches() == []


def test_nobody_gets_on_in_an_outage() -> None:
    history = History().pushed().at(0.1, What.AWAY).at(20.0, What.BACK)
    assert history.ran(21.0, ANN, 1, until=21.1).at(21.2, What.PROCESSED, ANN, 1).breaches() == []


def test_a_worker_that_was_cut_off_may_take_what_it_has_done_for_lost() -> None:
    history = History().pushed().ran(0.1, ANN, 1, until=0.2).at(0.21, What.AWAY).at(4.0, What.BACK)
    assert history.at(4.1, What.LOST, ANN, 1).breaches() == []


def test_a_job_that_was_pushed_again_may_be_done_again() -> None:
    assert stored_twice("again").breaches() == []


# --- I1 -------------------------------------------------------------------------------------------


def test_no_loss_when_a_job_never_ran() -> None:
    assert History().pushed().breaches() == ["I1"]


def test_no_loss_when_a_job_ran_in_vain_and_is_gone() -> None:
    assert retried().breaches() == ["I1"]


# --- I2 -------------------------------------------------------------------------------------------


def test_no_phantom_when_a_job_ran_that_nobody_pushed() -> None:
    history = History().ran(0.1, ANN, 1, until=0.2).at(0.21, What.PROCESSED, ANN, 1)
    assert history.breaches() == ["I2"]


def test_no_phantom_when_a_job_is_left_that_nobody_pushed() -> None:
    assert History().breaches(failed=["job-2"]) == ["I2"]


def test_no_phantom_when_a_push_was_refused() -> None:
    history = History().at(0.0, What.PUSHING).at(0.1, What.DUPLICATE).ran(0.2, ANN, 1, until=0.3)
    assert history.at(0.4, What.PROCESSED, ANN, 1).breaches() == ["I2"]


def test_no_phantom_when_a_job_was_stored_twice() -> None:
    assert stored_twice("").breaches() == ["I2"]


# --- I3 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [What.PROCESSED, What.RETRIED, What.RELEASED, What.FAILED])
def test_fence_when_a_settlement_is_accepted_of_a_worker_that_has_lost_the_job(what: What) -> None:
    history = slept().at(3.7, What.ENDED, ANN, 1).at(3.71, what, ANN, 1, "0")
    history.at(3.8, What.ENDED, BOB, 2)
    if what in (What.PROCESSED, What.FAILED):
        history.at(3.81, What.LOST, BOB, 2)
    else:
        history.at(3.81, What.PROCESSED, BOB, 2)
    assert history.breaches(failed=["job-1"] if what is What.FAILED else []) == ["I3"]


@pytest.mark.parametrize("what", [What.PROCESSED, What.LOST])
def test_fence_when_a_worker_has_slept_before_it_settles(what: What) -> None:
    history = History().pushed().ran(0.1, ANN, 1, until=0.2).at(0.21, What.SILENCED, ANN)
    history.ran(3.5, BOB, 2, until=3.6).at(3.61, what, BOB, 2)
    assert history.at(4.0, What.WOKEN, ANN).at(4.1, What.PROCESSED, ANN, 1).breaches() == ["I3"]


# --- I4 -------------------------------------------------------------------------------------------


def test_exclusion_when_a_job_goes_to_another_while_it_runs() -> None:
    history = History().pushed().ran(0.1, ANN, 1).ran(3.5, BOB, 2, until=3.6).at(3.7, What.PROCESSED, BOB, 2)
    assert history.at(5.0, What.ENDED, ANN, 1).at(5.1, What.LOST, ANN, 1).breaches() == ["I4"]


def test_exclusion_when_another_has_claimed_a_job_that_runs() -> None:
    history = History().pushed().ran(0.1, ANN, 1).at(3.5, What.CLAIMED, BOB, 2)
    history.at(5.0, What.ENDED, ANN, 1).at(5.1, What.LOST, ANN, 1)
    history.at(5.2, What.BEGAN, BOB, 2).at(5.3, What.ENDED, BOB, 2).at(5.4, What.PROCESSED, BOB, 2)
    assert history.breaches() == ["I4"]


def test_exclusion_when_a_worker_was_silent_for_less_than_its_lease() -> None:
    history = History().pushed().ran(0.1, ANN, 1).at(1.0, What.SILENCED, ANN).at(2.0, What.WOKEN, ANN)
    history.ran(2.5, BOB, 2, until=2.6).at(2.61, What.PROCESSED, BOB, 2)
    assert history.at(3.0, What.ENDED, ANN, 1).at(3.1, What.LOST, ANN, 1).breaches() == ["I4"]


def test_who_was_stopped_before_it_could_note_its_claim_notes_it_late() -> None:
    history = History().pushed().at(0.1, What.SILENCED, ANN).at(3.4, What.CLAIMED, BOB, 2).at(3.41, What.WOKEN, ANN)
    history.ran(3.42, ANN, 1, until=3.44, error="CancelledError").at(3.45, What.LOST, ANN, 1).at(
        3.5, What.BEGAN, BOB, 2
    )
    assert history.at(3.6, What.ENDED, BOB, 2).at(3.61, What.PROCESSED, BOB, 2).breaches() == []


# --- I5 -------------------------------------------------------------------------------------------


def test_progress_when_a_job_waits_for_too_long() -> None:
    assert done(at=8.6).breaches() == ["I5"]
    assert done(at=8.4).breaches() == []
    assert done(at=8.6).breaches(waiting=True) == []


def test_progress_when_a_killed_worker_keeps_its_jobs() -> None:
    history = History().pushed().ran(0.1, ANN, 1).at(0.2, What.KILLED, ANN)
    assert history.ran(9.0, BOB, 2, until=9.1).at(9.2, What.PROCESSED, BOB, 2).breaches() == ["I5"]


def test_progress_when_a_retry_comes_too_early() -> None:
    history = retried(delay=1.0).ran(1.1, BOB, 2, until=1.15).at(1.19, What.PROCESSED, BOB, 2)
    assert history.breaches() == ["I5"]
    assert history.breaches(waiting=True) == ["I5"]


# --- I6 -------------------------------------------------------------------------------------------


def test_attempts_when_a_handler_runs_once_more_than_it_may() -> None:
    history = History().pushed()
    for number in range(1, 5):
        history.ran(number, ANN, number, until=number + 0.1, error="E").at(number + 0.2, What.RETRIED, ANN, number, "0")
    history.at(5.0, What.CLAIMED, ANN, 5).at(5.1, What.FAILED, ANN, 5)
    assert history.breaches(failed=["job-1"]) == ["I6"]


def test_attempts_when_a_delivery_is_not_counted() -> None:
    history = retried(delay=0.0).ran(0.3, BOB, 1, until=0.4).at(0.5, What.PROCESSED, BOB, 1)
    assert history.breaches() == ["I6"]


def test_attempts_when_a_release_is_counted() -> None:
    history = (
        History().pushed().ran(0.1, ANN, 1, until=0.2, error="CancelledError").at(0.21, What.RELEASED, ANN, 1, "0")
    )
    assert history.ran(0.3, BOB, 2, until=0.4).at(0.41, What.PROCESSED, BOB, 2).breaches() == ["I6"]


def test_attempts_when_one_is_spent_on_nothing() -> None:
    history = History().pushed().ran(0.1, ANN, 2, until=0.2).at(0.3, What.PROCESSED, ANN, 2)
    assert history.breaches() == ["I6"]


def test_attempts_when_a_job_has_failed_twice() -> None:
    history = History().pushed().ran(0.1, ANN, 1, until=0.2, error="E").at(0.3, What.FAILED, ANN, 1)
    assert history.breaches(failed=["job-1", "job-1"]) == ["I6"]


# --- I7 -------------------------------------------------------------------------------------------


def test_conservation_when_a_job_is_in_two_places() -> None:
    assert done().breaches(failed=["job-1"]) == ["I7"]
    assert done().breaches(jobs=["job-1"]) == ["I7"]


def test_conservation_when_nobody_has_taken_a_job_off() -> None:
    assert History().pushed().ran(0.1, ANN, 1, until=0.2).at(0.3, What.LOST, ANN, 1).breaches() == ["I7"]


def test_a_worker_that_learns_late_that_a_job_is_gone_may_have_taken_it_off_itself() -> None:
    history = History().pushed().ran(0.1, ANN, 1, until=0.2).at(0.21, What.SILENCED, ANN).at(4.0, What.WOKEN, ANN)
    assert history.at(4.1, What.LOST, ANN, 1).breaches() == []


@pytest.mark.parametrize("off", [{"pushed": 2}, {"processed": 0}, {"failed": 1}])
def test_conservation_when_a_counter_is_off(off: dict[str, int]) -> None:
    assert done().breaches(totals={"pushed": 1, "processed": 1, "failed": 0} | off) == ["I7"]


# --- I8 -------------------------------------------------------------------------------------------

STUCK = Scenario("a worker is stuck", nothing, load=Load(jobs=1, special={0: ("block:60", 1)}))
"""The first job blocks the worker's event loop, so that no signal reaches it."""


@pytest.mark.faults
def test_exit_when_a_worker_does_not_end(tmp_path: Path) -> None:
    with Stage(STUCK, SQLITE, 1, tmp_path) as stage:
        worker = stage.start_worker()
        stage.start_producer()
        stage.until(lambda: stage.count(What.BEGAN) > 0, "the job has not begun")
        stage.stop(worker, within=0.5)
        assert not worker.alive
    assert [(breach.invariant, "did not end" in breach.text) for breach in stage.breaches] == [("I8", True)]


@pytest.mark.faults
def test_exit_when_a_worker_ends_with_an_error(tmp_path: Path) -> None:
    with Stage(STUCK, SQLITE, 1, tmp_path) as stage:
        stage.stop(stage.start_worker(), number=signal.SIGKILL)
    assert [(breach.invariant, "exit code -9" in breach.text) for breach in stage.breaches] == [("I8", True)]


@pytest.mark.faults
def test_exit_when_a_worker_ends_as_it_should(tmp_path: Path) -> None:
    with Stage(STUCK, SQLITE, 1, tmp_path) as stage:
        stage.stop(stage.start_worker())
    assert stage.breaches == []
