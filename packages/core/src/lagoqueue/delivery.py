"""`Delivery`: the record of one delivery, filled in on its way through a worker."""

from __future__ import annotations

import asyncio
from typing import Any

from lagoqueue.handlers import Handler
from lagoqueue.job import Job
from lagoqueue.queue import Settlement


class GivenBack(Exception):
    """Why a delivery did not finish: the worker stopped before it could."""


class Delivery:
    """The record that one delivery fills in as it goes."""

    __slots__ = ("error", "handler", "job", "lost", "payload", "seconds", "settlement", "task")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.handler: Handler | None = None
        self.payload: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.settlement: Settlement | None = None
        self.task: asyncio.Task[None] | None = None
        """The slot that runs it now; None before and after."""
        self.lost = False
        """The keeper found the reservation gone."""

    def give_back(self) -> None:
        """Settle it unrun: due at once, no attempt spent."""
        self.error = GivenBack("the worker stopped before the handler was done")
        self.settlement = Settlement(self.job, "release", 0.0)
