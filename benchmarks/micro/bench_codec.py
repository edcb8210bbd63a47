"""The fused codec against the same steps in Python around msgspec, and against msgspec alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.sizes import Size, pick
from lagoqueue._codec import Delivery, HandlerTable, make_job, new_id
from lagoqueue.job import Job
from micro.python_codec import PythonCodec, PythonIds
from micro.timing import repeat


class Small(msgspec.Struct):
    """A payload as most are."""

    user_id: int
    template: str


class Line(msgspec.Struct):
    """One line of an order."""

    sku: str
    quantity: int
    price: float


class Order(msgspec.Struct):
    """A payload of half a kilobyte."""

    number: str
    customer: str
    lines: list[Line]
    notes: str


@dataclass
class SmallData:
    """`Small` as a dataclass."""

    user_id: int
    template: str


PAYLOADS: dict[str, object] = {
    "small": Small(42, "welcome"),
    "dataclass": SmallData(42, "welcome"),
    "order": Order("A-1001", "Ada", [Line(f"sku-{number}", number, 9.5) for number in range(8)], "leave at the door"),
}


def calls(benchmark: BenchmarkFixture, size: Size, function: Callable[..., object], *arguments: object) -> None:
    """Time many calls; the loop counts, too."""
    operations = pick(size, full=50_000, quick=20_000, tiny=100)

    def work() -> None:
        times = itertools.repeat(None, operations)  # cheaper than range, as in timeit
        if arguments:
            argument = arguments[0]
            for _ in times:
                function(argument)
        else:
            for _ in times:
                function()

    repeat(benchmark, work, operations, pick(size, full=9, quick=5, tiny=1))


@pytest.mark.parametrize("ids", ["python", "lagoqueue"])
def bench_ids(benchmark: BenchmarkFixture, size: Size, ids: str) -> None:
    """UUIDv7 as text."""
    make: Callable[[], str] = new_id if ids == "lagoqueue" else PythonIds().new
    calls(benchmark, size, make)


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("codec", ["msgspec", "python", "lagoqueue"])
def bench_dispatch(benchmark: BenchmarkFixture, size: Size, codec: str, kind: str) -> None:
    """Payload to Job; of msgspec only to bytes."""
    encode: dict[str, Callable[..., object]] = {
        "msgspec": msgspec.json.Encoder().encode,
        "python": PythonCodec().make_job,
        "lagoqueue": make_job,
    }
    calls(benchmark, size, encode[codec], PAYLOADS[kind])


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("codec", ["msgspec", "python", "lagoqueue"])
def bench_delivery(benchmark: BenchmarkFixture, size: Size, codec: str, kind: str) -> None:
    """Job to handler and payload in a record; of msgspec only from bytes to payload."""
    payload = PAYLOADS[kind]
    job = make_job(payload)
    if codec == "msgspec":
        calls(benchmark, size, msgspec.json.Decoder(type(payload)).decode, job.payload)
    elif codec == "python":
        python = PythonCodec()
        python.add(job.name, object(), type(payload))
        calls(benchmark, size, python.open, job)
    else:
        table: HandlerTable[object] = HandlerTable()
        table.add(job.name, object(), type(payload))

        def opened(job: Job) -> Delivery[object]:
            return table.open(Delivery(job))

        calls(benchmark, size, opened, job)
