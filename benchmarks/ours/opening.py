"""What all workloads of lagoqueue share: the payload, and how a queue is opened."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from harness.script import Settings
from lagoqueue_sql import SQLQueue


class SendWelcomeEmail(msgspec.Struct, frozen=True):
    """The payload of all no-op jobs."""

    user_id: int


class Sent(msgspec.Struct, frozen=True):
    """A payload that says when: at which moment of the machine's clock it was sent, or is due."""

    at: float


PAYLOAD = SendWelcomeEmail(42)


def open_queue(settings: Settings, **options: Any) -> SQLQueue:
    """Return the queue in the store of the settings, of which some are the queue's own."""
    logging.getLogger("lagoqueue").addHandler(logging.NullHandler())  # warnings of failed jobs are not printed
    url = settings["dsn"] if "dsn" in settings else f"sqlite:///{settings['file']}"
    own = {name: settings[name] for name in ("wakeup", "synchronous") if name in settings}
    return SQLQueue(url, **(own | options))
