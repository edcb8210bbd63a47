from __future__ import annotations

import gc
import math
import os
import re
import subprocess
import sys
import threading
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue import _codec
from lagoqueue._codec import Delivery, HandlerTable, make_job, new_id
from lagoqueue.errors import (
    DuplicateHandler,
    HandlerError,
    InvalidJob,
    JobNameError,
    PayloadDecodeError,
    PayloadEncodeError,
    UnknownJob,
)
from lagoqueue.job import Job

id_at: Callable[[int], str] = vars(_codec)["_new_id_at"]


def opened(table: HandlerTable[Any], job: Job) -> Delivery[Any]:
    return table.open(Delivery(job))


class AsStruct(msgspec.Struct):
    text: str
    number: int | None = None
    parts: list[float] = []


@dataclass
class AsDataclass:
    text: str
    number: int | None = None
    parts: list[float] = field(default_factory=list)


@attrs.define
class AsAttrs:
    text: str
    number: int | None = None
    parts: list[float] = attrs.field(factory=list)


class AsTuple(NamedTuple):
    text: str
    number: int | None
    parts: list[float]


class AsTyped(TypedDict):
    text: str
    number: int | None
    parts: list[float]


class AsModel(pydantic.BaseModel):
    text: str
    number: int | None = None
    parts: list[float] = []


KINDS: list[Any] = [AsStruct, AsDataclass, AsAttrs, AsTuple, AsTyped, AsModel]


class Renamed(msgspec.Struct):
    __job_name__ = "billing.renamed"


class Strange:
    pass


@dataclass
class HoldsStrange:
    strange: Strange


class Tree(msgspec.Struct):
    children: list[Tree] = []


class Anything(msgspec.Struct):
    value: Any


class Angry(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class Fussy(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number == 1:
            raise Angry
        if self.number == 2:
            raise ValueError("two is too many")


class Abstract(Protocol):
    text: str


# --- Round trips ----------------------------------------------------------------------------------


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.none() | st.integers(-(2**63), 2**63 - 1),
    parts=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
    kind=st.sampled_from(KINDS),
)
def test_a_payload_comes_back_and_is_written_as_msgspec_writes_it(
    text: str, number: int | None, parts: list[float], kind: Any
) -> None:
    payload = kind(text=text, number=number, parts=parts)
    entry = object()
    table: HandlerTable[object] = HandlerTable()
    table.add(kind.__name__, entry, kind)
    job = make_job(payload, kind if kind is AsTyped else None)
    assert job.name == kind.__name__
    delivery = opened(table, job)
    found, decoded = delivery.handler, delivery.payload
    assert found is entry
    assert decoded == payload
    if kind is not AsModel:
        assert job.payload == msgspec.json.encode(payload)
        assert decoded == msgspec.json.decode(job.payload, type=kind)


def test_the_job_holds_what_was_given() -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    headers = {"trace": "1"}
    job = make_job(Renamed(), None, "mail", 7, headers, "my-id", when)
    assert job == Job("my-id", "billing.renamed", b"{}", 0, when, "mail", 7, {"trace": "1"}, None)
    assert job.headers is not headers


def test_the_defaults_of_a_job() -> None:
    first, second = make_job(AsStruct("x")), make_job(AsStruct("x"))
    assert (first.attempts, first.available_at, first.queue, first.priority) == (0, None, "default", 0)
    assert (first.headers, first.receipt) == ({}, None)
    assert first.headers is not second.headers
    assert first.id != second.id


def test_a_megabyte() -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("AsStruct", 1, AsStruct)
    job = make_job(AsStruct("é" * 500_000))
    assert len(job.payload) > 1_000_000
    assert opened(table, job).payload == AsStruct("é" * 500_000)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (AsTuple, AsTyped)])
def test_unknown_fields_are_ignored_and_missing_ones_defaulted(kind: Any) -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("x", 1, kind)
    assert opened(table, Job("1", "x", b'{"text": "t", "added_later": {"a": 1}}')).payload == kind(text="t")


# --- What does not encode -------------------------------------------------------------------------


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Strange(), "Strange"),
        ("\ud800", "surrogate"),
        (nested(100_000), "RecursionError"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ([{"a": [None, -math.inf]}], "inf"),
    ],
    ids=["class", "surrogate", "deep", "nan", "inf", "inner"],
)
def test_what_does_not_encode_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(PayloadEncodeError, match=f"(?s)Anything.*{reason}") as caught:
        make_job(Anything(value))
    assert caught.value.__cause__ is not None


def test_null_itself_and_the_word_are_fine() -> None:
    assert make_job(Anything([None, "null", 1.5])).payload == b'{"value":[null,"null",1.5]}'


class BadModel(pydantic.BaseModel):
    text: str

    @pydantic.field_serializer("text")
    def explode(self, value: str) -> str:
        raise Angry


def test_an_error_in_a_users_serializer_is_an_encode_error() -> None:
    with pytest.raises(PayloadEncodeError, match="BadModel"):
        make_job(BadModel(text="x"))


@pytest.mark.parametrize("payload", [{"a": 1}, [1], "x", None, 1])
def test_a_builtin_has_no_name(payload: Any) -> None:
    with pytest.raises(JobNameError):
        make_job(payload)


def test_the_payload_must_be_of_the_type_that_is_named() -> None:
    with pytest.raises(PayloadEncodeError, match="AsStruct"):
        make_job(Renamed(), AsStruct)
    with pytest.raises(PayloadEncodeError, match="AsTyped"):
        make_job(AsStruct("x"), AsTyped)
    with pytest.raises(JobNameError):
        make_job({}, list[int])
    assert make_job(AsStruct("x"), AsStruct).name == "AsStruct"


def test_headers_must_be_a_mapping() -> None:
    with pytest.raises(InvalidJob, match="headers"):
        make_job(AsStruct("x"), headers="trace")  # type: ignore[arg-type]
    with pytest.raises(InvalidJob, match="headers"):
        make_job(AsStruct("x"), headers=1)  # type: ignore[arg-type]


def test_a_type_is_not_kept_alive_and_its_address_may_be_reused() -> None:
    for number in range(20):
        kind = type(
            f"Made{number}", (msgspec.Struct,), {"__annotations__": {"x": int}, "__qualname__": f"Made{number}"}
        )
        assert make_job(kind(x=1)).name == f"Made{number}"
        watch = weakref.ref(kind)
        del kind
        gc.collect()
        assert watch() is None


# --- What does not decode -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (AsStruct, b""),
        (AsStruct, b"{"),
        (AsStruct, b"[]"),
        (AsStruct, b"{}"),
        (AsStruct, b'{"text": 1}'),
        (AsStruct, b'{"text": "\xff"}'),
        (AsStruct, b'{"text": "\\ud800"}'),
        (AsTuple, b"[]"),
        (AsTyped, b"{}"),
        (AsModel, b"{}"),
        (AsModel, b"\xff"),
        (Anything, b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (Fussy, b'{"number":1}'),
        (Fussy, b'{"number":2}'),
    ],
)
def test_bytes_that_do_not_decode(kind: Any, data: bytes) -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("the.name", 1, kind)
    with pytest.raises(PayloadDecodeError) as caught:
        opened(table, Job("the-id", "the.name", data))
    message = str(caught.value)
    assert "the-id" in message
    assert "the.name" in message
    assert kind.__name__ in message
    assert caught.value.__cause__ is not None


def test_a_name_without_a_handler() -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("other", 1, AsStruct)
    with pytest.raises(UnknownJob, match=r"nobody.*the-id.*other"):
        opened(table, Job("the-id", "nobody", b"{}"))


def test_only_a_job_is_opened() -> None:
    table: HandlerTable[int] = HandlerTable()
    with pytest.raises(TypeError, match="Job"):
        opened(table, "x")  # type: ignore[arg-type]


# --- Registration ---------------------------------------------------------------------------------


def test_names_are_kept_in_order_and_taken_once() -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("b", 1, AsStruct)
    table.add("a", 2, Renamed)
    assert table.names() == ["b", "a"]
    assert "a" in table
    assert "c" not in table
    assert len(table) == 2
    with pytest.raises(DuplicateHandler, match=r"'a'.*Renamed.*AsStruct"):
        table.add("a", 3, AsStruct)
    assert opened(table, Job("1", "a", b"{}")).handler == 2


@pytest.mark.parametrize(
    "kind",
    [
        Strange,
        HoldsStrange,
        Abstract,
        "text",
        type("Undefined", (msgspec.Struct,), {"__annotations__": {"x": "Nowhere"}}),
    ],
)
def test_a_type_that_nothing_decodes_into_is_refused_at_once(kind: Any) -> None:
    table: HandlerTable[int] = HandlerTable()
    with pytest.raises(HandlerError, match="does not decode"):
        table.add("x", 1, kind)
    assert table.names() == []


def test_a_type_that_holds_itself_is_accepted() -> None:
    table: HandlerTable[int] = HandlerTable()
    table.add("Tree", 1, Tree)
    assert opened(table, make_job(Tree([Tree()]))).payload == Tree([Tree()])


# --- Ids ------------------------------------------------------------------------------------------


def test_an_id_is_a_uuid7_with_the_time_in_it() -> None:
    before = datetime.now(UTC).timestamp() * 1000 - 1
    text = new_id()
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
    # Ahead of the clock only if the counter ever overflowed.
    assert before <= (parsed.int >> 80) <= datetime.now(UTC).timestamp() * 1000 + 1000


def test_ids_are_strictly_increasing() -> None:
    ids = [new_id() for _ in range(100_000)]
    assert ids == sorted(set(ids))


def test_ids_keep_increasing_when_the_clock_is_set_back() -> None:
    program = """
from lagoqueue import _codec
from uuid import UUID
make = _codec._new_id_at
times = [10_000, 10_001, 9_000, 1, 10_001, 10_000, 10_002, 5]
ids = [make(time) for time in times]
assert ids == sorted(set(ids)), ids
assert [UUID(text).int >> 80 for text in ids] == [10_000] + [10_001] * 5 + [10_002] * 2
"""
    _run(program)


@pytest.mark.slow
def test_ids_run_ahead_of_a_clock_that_stands_when_the_counter_is_full() -> None:
    program = """
from lagoqueue import _codec
from uuid import UUID
make = _codec._new_id_at
last = first = make(10_000)
steps = 0
while UUID(last).int >> 80 == 10_000:
    for _ in range(100_000):
        text = make(10_000)
        assert text > last
        last = text
    steps += 1
    assert steps <= 700, "2**26 ids fit into a millisecond"
assert UUID(last).int >> 80 == 10_001
"""
    _run(program)


def test_ids_are_unique_across_threads_and_increase_in_each() -> None:
    found: list[list[str]] = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        found.append([new_id() for _ in range(20_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({text for ids in found for text in ids}) == 80_000
    assert all(ids == sorted(ids) for ids in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_repeat_its_parents_random_bits() -> None:
    program = """
import os
from lagoqueue import _codec
make = _codec._new_id_at
make(10_000)
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, "".join(make(10_000) for _ in range(50)).encode())
    os._exit(0)
os.waitpid(child, 0)
theirs = os.read(reading, 36 * 50).decode()
tails = {theirs[start + 24 : start + 36] for start in range(0, 36 * 50, 36)}
ours = {make(10_000)[24:] for _ in range(50)}
assert len(tails) == 50 and not tails & ours
"""
    _run(program)


def _run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
