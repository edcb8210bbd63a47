"""`QueueContract`: what every driver has to do, as tests that run on any of them.

::

    class TestMyQueue(QueueContract, unittest.IsolatedAsyncioTestCase):
        async def open_queue(self, *, visibility_timeout: float = 900.0) -> Queue:
            return MyQueue(..., visibility_timeout=visibility_timeout)

Both `python -m unittest` and pytest run it. `Hooks` lists what else a driver may set.

Where a driver has a choice, the suite accepts either: until a job is redelivered, a settlement that
comes after its reservation expired may still be accepted, or be refused; an expired reservation
may count in `size` or not; a job that was due as soon as it was pushed may come with that moment in
`available_at`, or with None; `push_many` that meets a duplicate may have stored the jobs before it, or
none. The rest is one and the same for all.
"""

from __future__ import annotations

from lagoqueue.testing.contract.attempts import Attempts
from lagoqueue.testing.contract.bad_input import BadInput
from lagoqueue.testing.contract.batches import Batches
from lagoqueue.testing.contract.cancellation import Cancellation
from lagoqueue.testing.contract.closing import Closing
from lagoqueue.testing.contract.concurrency import Concurrency
from lagoqueue.testing.contract.delays import Delays
from lagoqueue.testing.contract.delivery import Delivery
from lagoqueue.testing.contract.duplicates import Duplicates
from lagoqueue.testing.contract.failed import Failing
from lagoqueue.testing.contract.fencing import Fencing
from lagoqueue.testing.contract.hooks import Hooks
from lagoqueue.testing.contract.keeping import Keeping
from lagoqueue.testing.contract.labels import Labels
from lagoqueue.testing.contract.order import Order
from lagoqueue.testing.contract.redelivery import Redelivery
from lagoqueue.testing.contract.roundtrip import RoundTrip
from lagoqueue.testing.contract.turns import Turns
from lagoqueue.testing.contract.waiting import Waiting

__all__ = ["Hooks", "QueueContract"]


class QueueContract(
    Delivery,
    RoundTrip,
    Duplicates,
    Waiting,
    Order,
    Delays,
    Attempts,
    Fencing,
    Redelivery,
    Keeping,
    Batches,
    Turns,
    Failing,
    Concurrency,
    Cancellation,
    Labels,
    Closing,
    BadInput,
    Hooks,
):
    """The whole contract; mix it with `unittest.IsolatedAsyncioTestCase` and define `open_queue`."""
