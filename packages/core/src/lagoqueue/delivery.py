"""`Delivery`: the record of one delivery, filled in on its way through a worker."""

from __future__ import annotations

from lagoqueue import _codec
from lagoqueue.handlers import Handler
from lagoqueue.queue import Settlement

Delivery = _codec.Delivery[Handler]


class GivenBack(Exception):
    """Why a delivery did not finish: the worker stopped before it could."""


def give_back(delivery: Delivery) -> None:
    """Decide on a delivery that was not run, or not to its end: due again at once, no attempt spent."""
    delivery.error = GivenBack("the worker stopped before the handler was done")
    delivery.settlement = Settlement(delivery.job, "release", 0.0)
