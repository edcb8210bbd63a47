"""Job names, and what a job may look like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from lagoqueue import InvalidJob, Job, JobNameError, job_name
from lagoqueue.job import check_job
from tests.core.payloads import Charge, Child, Point, Reminder, Renamed, SendWelcomeEmail

T = TypeVar("T")


class Box(msgspec.Struct, Generic[T]):
    item: T


@pytest.mark.parametrize(
    ("payload_type", "name"),
    [
        (SendWelcomeEmail, "SendWelcomeEmail"),
        (Charge, "Charge"),
        (Point, "Point"),
        (Reminder, "Reminder"),
        (Renamed, "billing.renamed"),
        (Child, "Child"),
    ],
)
def test_the_types_name_routes_unless_the_class_sets_its_own(payload_type: type, name: str) -> None:
    assert job_name(payload_type) == name


def test_a_local_class_has_no_stable_name_until_it_sets_one() -> None:
    @dataclass
    class Local:
        value: int

    with pytest.raises(JobNameError, match="move it to module level, or set __job_name__"):
        job_name(Local)

    @dataclass
    class Named:
        __job_name__ = "named"
        value: int

    assert job_name(Named) == "named"


@pytest.mark.parametrize("payload_type", [list[int], Box[int], dict[str, int], int | str, "SendWelcomeEmail", None, 5])
def test_what_is_not_a_class_has_no_name(payload_type: Any) -> None:
    with pytest.raises(JobNameError, match="no stable job name"):
        job_name(payload_type)


@pytest.mark.parametrize("payload_type", [dict, int, str, bytes, list, type(None), object])
def test_builtins_have_no_name(payload_type: type) -> None:
    with pytest.raises(JobNameError, match="wrap it in a class of its own"):
        job_name(payload_type)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800", 5])
def test_a_job_name_that_no_store_keeps_is_refused(name: Any) -> None:
    bad = type("Bad", (), {"__job_name__": name})
    with pytest.raises((InvalidJob, JobNameError), match="__job_name__"):
        job_name(bad)


def job(**changes: Any) -> Job:
    return msgspec.structs.replace(Job("id-1", "Name", b"{}"), **changes)


@pytest.mark.parametrize(
    "good",
    [
        job(),
        job(id="x" * 200),
        job(id="naïve/../%2f'\"; drop"),
        job(payload=b"\x00\xff"),
        job(priority=-(2**31) + 1),
        job(attempts=2**30),
        job(headers={"traceparent": "00-ab", "empty": ""}),
    ],
    ids=repr,
)
def test_a_storable_job_passes(good: Job) -> None:
    check_job(good)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ""}, "id must have 1 to 200"),
        ({"id": "x" * 1_000_000}, "not 1000000"),
        ({"id": "a\0"}, "NUL"),
        ({"id": "\udfff"}, "surrogate"),
        ({"id": 7}, "must be text, not int"),
        ({"name": ""}, "name must have"),
        ({"name": "\ud800"}, "surrogate"),
        ({"queue": "q" * 101}, "label"),
        ({"queue": ""}, "label"),
        ({"payload": "text"}, "payload must be bytes"),
        ({"priority": 2**31}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"attempts": -1}, "attempts"),
        ({"attempts": 2**30 + 1}, "attempts"),
        ({"attempts": 2**70}, "attempts"),
        ({"attempts": 1.0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"available_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
        ({"headers": {"": "x"}}, "header"),
        ({"headers": {"a": "b\0"}}, "header 'a'"),
        ({"headers": {"a": 5}}, "header 'a'"),
        ({"headers": {"a": "\ud800"}}, "header 'a'"),
    ],
)
def test_a_job_that_no_store_could_keep_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidJob, match=says):
        check_job(job(**changes))


def test_a_job_is_frozen() -> None:
    with pytest.raises(AttributeError):
        job().attempts = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
