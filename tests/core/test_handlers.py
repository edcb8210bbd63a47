"""Registering handlers, rightly and wrongly."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lagoqueue import DuplicateHandler, HandlerError, Handlers, InvalidValue, Job, JobNameError, UnknownJob
from lagoqueue.delivery import Delivery
from tests.core.payloads import Charge, Renamed, Resize, SendWelcomeEmail


def opened(handlers: Handlers, job: Job) -> Delivery:
    delivery = Delivery(job)
    handlers.table.open(delivery)
    return delivery


async def async_handler(payload: Any) -> None: ...


def sync_handler(payload: Any) -> None: ...


class Callables:
    async def method(self, payload: Any) -> None: ...

    async def __call__(self, payload: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (async_handler, True),
        (sync_handler, False),
        (lambda payload: None, False),
        (functools.partial(async_handler), True),
        (Callables().method, True),
        (Callables(), True),
        (print, False),
        ([].append, False),
    ],
)
def test_callables_of_every_kind_are_taken_for_what_they_are(function: Any, is_async: bool) -> None:
    handlers = Handlers()
    handlers.handle(SendWelcomeEmail, function)
    delivery = opened(handlers, Job("1", "SendWelcomeEmail", b'{"user_id": 42}'))
    assert delivery.payload == SendWelcomeEmail(42)
    assert delivery.handler is not None
    assert delivery.handler.is_async is is_async


def test_the_decorator_returns_the_function_itself() -> None:
    handlers = Handlers()
    assert handlers.handle(SendWelcomeEmail)(sync_handler) is sync_handler
    assert handlers.names() == ["SendWelcomeEmail"]


def no_argument() -> None: ...


def two_arguments(payload: Any, job: Any) -> None: ...


def keyword_only(*, payload: Any) -> None: ...


def generator(payload: Any) -> Iterator[int]:
    yield 1


async def async_generator(payload: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [no_argument, two_arguments, keyword_only])
def test_a_handler_with_the_wrong_signature_is_refused(function: Any) -> None:
    with pytest.raises(HandlerError, match="one required argument"):
        Handlers().handle(SendWelcomeEmail, function)


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_generator_is_refused(function: Any) -> None:
    with pytest.raises(HandlerError, match="yield"):
        Handlers().handle(SendWelcomeEmail, function)


def test_what_is_not_callable_is_refused() -> None:
    not_callable: Any = 5
    with pytest.raises(HandlerError, match="callable"):
        Handlers().handle(SendWelcomeEmail, not_callable)


@dataclass
class OtherCharge:
    __job_name__ = "Charge"
    cents: int


def test_two_handlers_under_one_name_are_refused() -> None:
    handlers = Handlers()
    handlers.handle(Charge, sync_handler)
    with pytest.raises(DuplicateHandler, match="Charge"):
        handlers.handle(Charge, async_handler)
    with pytest.raises(DuplicateHandler, match="Charge"):
        handlers.handle(OtherCharge, async_handler)


def test_types_without_a_stable_name_are_refused() -> None:
    generic: Any = list[int]
    with pytest.raises(JobNameError):
        Handlers().handle(generic, sync_handler)


class Opaque:
    """Nothing tells how JSON would become this."""

    def __init__(self, socket: object) -> None:
        self.socket = socket


def test_a_type_that_json_cannot_become_is_refused() -> None:
    with pytest.raises(HandlerError, match="Opaque"):
        Handlers().handle(Opaque, sync_handler)


def test_a_thread_takes_no_timeout() -> None:
    with pytest.raises(HandlerError, match="make it async"):
        Handlers().handle(Resize, sync_handler, timeout=5)


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": -1}, {"max_retry": 0}, {"max_retry": 1.5}, {"max_retry": True}, {"backoff": -3}],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Handlers().handle(Resize, async_handler, **options)


def test_a_name_without_a_handler_is_unknown() -> None:
    handlers = Handlers()
    handlers.handle(Renamed, sync_handler)
    with pytest.raises(UnknownJob, match="Renamed"):
        opened(handlers, Job("1", "Renamed", b"{}"))
    assert opened(handlers, Job("1", "billing.renamed", b"{}")).payload == Renamed(0)
