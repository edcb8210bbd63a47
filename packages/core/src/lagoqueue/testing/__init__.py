"""What tests need: for an application, and for a driver of one's own.

For an application, with nothing but lagoqueue-core installed:

- `MemoryQueue(clock=ManualClock())` is a queue whose time passes when the test says so;
- `assert_dispatched(queue, Reminder, user_id=42)` finds a job that waits, `refute_dispatched` none;
- `await drain(worker)` runs what is due and raises what the handlers raised.

For a driver: `QueueContract`, the contract as a test suite, and `QueueMachine` in
`lagoqueue.testing.machine`, which compares the driver with a model over random histories and
needs `hypothesis`. `python -m lagoqueue.testing` runs the suite on `MemoryQueue`.
"""

from __future__ import annotations

from lagoqueue.testing.clock import ManualClock
from lagoqueue.testing.contract import QueueContract
from lagoqueue.testing.dispatched import assert_dispatched, refute_dispatched
from lagoqueue.testing.draining import DrainReport, drain

__all__ = [
    "DrainReport",
    "ManualClock",
    "QueueContract",
    "assert_dispatched",
    "drain",
    "refute_dispatched",
]
