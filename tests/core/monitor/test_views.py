"""Pages, and the row that shows a job."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job
from lagoqueue.monitor import PAGE_SIZE, JobView, page_offset


def test_pages_are_counted_from_one() -> None:
    assert PAGE_SIZE == 50
    assert [page_offset(page) for page in (1, 2, 3)] == [0, 50, 100]


def test_an_absurd_page_is_beyond_all_rows_but_within_64_bits() -> None:
    assert 10**15 < page_offset(10**400) < 2**63 - PAGE_SIZE


@pytest.mark.parametrize(
    "page", [0, -1, True, False, 1.0, float("nan"), "1", None, pytest.param(-(10**5000), id="too long to print")]
)
def test_what_is_no_page_is_refused(page: int) -> None:
    with pytest.raises(InvalidValue, match="page must be a whole number from 1"):
        page_offset(page)


def test_a_row_shows_the_job_without_its_payload() -> None:
    due = datetime(2026, 1, 2, tzinfo=UTC)
    job = Job("7", "Mail", b'{"secret":1}', attempts=2, available_at=due, queue="mail", priority=4, receipt="r")
    view = JobView.of(job)
    assert view == JobView("7", "mail", "Mail", 2, 4, due)
    assert b"secret" not in msgspec.json.encode(view)


def test_a_row_of_a_failed_job_shows_why_and_where_it_was_recorded() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    view = JobView.of(Job("7", "Mail", b"{}"), queue="other", error="ValueError: no", failed_at=at)
    assert (view.queue, view.error, view.failed_at, view.state) == ("other", "ValueError: no", at, "failed")
