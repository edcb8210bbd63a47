"""The fused codec against the same steps in Python around msgspec, and against msgspec alone.

"Python" is what one would write with care: encoder and decoders made once and held as bound
methods, names cached by type, ids from a buffer of random bytes. It makes the same `Job`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from _harness import Table, compare, main, per_call
from lagoqueue._codec import Delivery, HandlerTable, make_job, new_id
from lagoqueue.errors import PayloadDecodeError, PayloadEncodeError, UnknownJob
from lagoqueue.job import Job, job_name


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


PAYLOADS: list[object] = [
    Small(42, "welcome"),
    SmallData(42, "welcome"),
    Order("A-1001", "Ada", [Line(f"sku-{number}", number, 9.5) for number in range(8)], "leave at the door"),
]


class PythonIds:
    """UUIDv7 with a counter, in Python."""

    def __init__(self) -> None:
        self._last = 0
        self._counter = 0
        self._random = b""
        self._used = 0

    def new(self) -> str:
        millisecond = time.time_ns() // 1_000_000
        if self._used + 10 > len(self._random):
            self._random = os.urandom(4096)
            self._used = 0
        start = self._used
        tail = int.from_bytes(self._random[start : start + 6], "little")
        if millisecond > self._last:
            self._last = millisecond
            self._counter = int.from_bytes(self._random[start + 6 : start + 10], "little") & 0x1FFFFFF
            self._used = start + 10
        else:
            self._counter += 1
            self._used = start + 6
        counter = self._counter
        number = self._last << 80 | 0x7000 << 64 | counter >> 14 << 64 | 2 << 62 | (counter & 0x3FFF) << 48 | tail
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class PythonDelivery:
    """What a worker keeps of a delivery, as `Delivery` does."""

    __slots__ = ("error", "handler", "job", "lost", "payload", "seconds", "settlement", "task")

    def __init__(self, job: Job, handler: object, payload: object) -> None:
        self.job = job
        self.handler = handler
        self.payload = payload
        self.error: BaseException | None = None
        self.settlement: object = None
        self.task: object = None
        self.seconds = 0.0
        self.lost = False


class PythonCodec:
    """Both ends in Python."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._names: dict[type, str] = {}
        self._new_id = PythonIds().new
        self._routes: dict[str, tuple[object, Callable[[bytes], Any]]] = {}

    def make_job(
        self,
        payload: object,
        payload_type: type | None = None,
        queue: str = "default",
        priority: int = 0,
        headers: dict[str, str] | None = None,
        id: str | None = None,
        available_at: datetime | None = None,
    ) -> Job:
        kind = type(payload) if payload_type is None else payload_type
        name = self._names.get(kind)
        if name is None:
            name = self._names[kind] = job_name(kind)
        try:
            data = self._encode(payload)
        except Exception as error:
            raise PayloadEncodeError(f"{name} does not encode: {error}") from error
        return Job(
            self._new_id() if id is None else id,
            name,
            data,
            0,
            available_at,
            queue,
            priority,
            {} if headers is None else dict(headers),
        )

    def add(self, name: str, entry: object, payload_type: type) -> None:
        self._routes[name] = (entry, msgspec.json.Decoder(payload_type).decode)

    def open(self, job: Job) -> PythonDelivery:
        route = self._routes.get(job.name)
        if route is None:
            raise UnknownJob(job.name)
        entry, decode = route
        try:
            return PythonDelivery(job, entry, decode(job.payload))
        except Exception as error:
            raise PayloadDecodeError(f"job {job.id!r} does not decode: {error}") from error


def run(quick: bool) -> list[Table]:
    calls, rounds = (5_000, 5) if quick else (50_000, 9)
    ids = compare(
        "UUIDv7 as text", [("Python", per_call(calls, PythonIds().new)), ("new_id", per_call(calls, new_id))], rounds
    )
    tables = [ids]
    for payload in PAYLOADS:
        kind = type(payload)
        python = PythonCodec()
        table: HandlerTable[object] = HandlerTable()
        python.add(kind.__name__, object(), kind)
        table.add(kind.__name__, object(), kind)
        job = make_job(payload)
        encode = msgspec.json.Encoder().encode
        decode = msgspec.json.Decoder(kind).decode
        size = f"{kind.__name__}, {len(job.payload)} bytes"

        tables.append(
            compare(
                f"Dispatch side, payload to Job: {size}",
                [
                    ("Python around msgspec", per_call(calls, python.make_job, payload)),
                    ("make_job", per_call(calls, make_job, payload)),
                    ("msgspec encode alone", per_call(calls, encode, payload)),
                ],
                rounds,
            )
        )
        tables.append(
            compare(
                f"Delivery side, Job to handler and payload in a record: {size}",
                [
                    ("Python around msgspec", per_call(calls, python.open, job)),
                    ("HandlerTable.open", per_call(calls, table.open, Delivery(job))),
                    ("msgspec decode alone", per_call(calls, decode, job.payload)),
                ],
                rounds,
            )
        )
    return tables


if __name__ == "__main__":
    main(run)
