"""The codec's steps in Python around msgspec, as one would write them with care.

Encoder and decoders are made once and held as bound methods, names are cached by type, ids come from a buffer of random
bytes. It makes the same `Job`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from lagoqueue.errors import PayloadDecodeError, PayloadEncodeError, UnknownJob
from lagoqueue.job import Job, job_name


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
