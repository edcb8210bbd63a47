"""`Delivery`: the record of one delivery, filled in on its way through a worker."""

from __future__ import annotations

from lagoqueue import _codec
from lagoqueue.handlers import Handler
from lagoqueue.job import Job
from lagoqueue.queue import Settlement

Delivery = _codec.Delivery[Handler]


class GivenBack(Exception):
    """Why a delivery did not finish: the worker stopped before it could."""


def given_back(job: Job) -> Delivery:
    """Return the delivery of a job that was not run, to be settled as such: due at once, no attempt spent."""
    delivery = Delivery(job, GivenBack("the worker stopped before the handler was done"))
    delivery.settlement = Settlement(job, "release", 0.0)
    return delivery
