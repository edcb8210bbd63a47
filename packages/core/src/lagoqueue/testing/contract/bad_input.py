"""A job that some store could not keep is refused by all, and nothing is stored."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from lagoqueue.errors import InvalidJob, InvalidValue
from lagoqueue.job import MAX_ID, MAX_LABEL, MAX_NAME, MAX_PRIORITY
from lagoqueue.queue import Settlement
from lagoqueue.testing.contract.hooks import Hooks, make_job

BAD: dict[str, dict[str, Any]] = {
    "an empty id": {"job_id": ""},
    "a long id": {"job_id": "x" * (MAX_ID + 1)},
    "a 1 MB id": {"job_id": "x" * 1_048_576},
    "NUL in the id": {"job_id": "a\x00b"},
    "a lone surrogate in the id": {"job_id": "\ud800"},
    "an id that is a number": {"job_id": 7},
    "an empty name": {"name": ""},
    "a long name": {"name": "x" * (MAX_NAME + 1)},
    "NUL in the name": {"name": "\x00"},
    "a lone surrogate in the name": {"name": "x\udfff"},
    "an empty label": {"queue": ""},
    "a long label": {"queue": "x" * (MAX_LABEL + 1)},
    "NUL in the label": {"queue": "x\x00"},
    "a text payload": {"payload": "{}"},
    "a bytearray payload": {"payload": bytearray(b"{}")},
    "no payload": {"payload": None},
    "a high priority": {"priority": MAX_PRIORITY + 1},
    "a low priority": {"priority": -MAX_PRIORITY - 1},
    "a fractional priority": {"priority": 1.5},
    "a boolean priority": {"priority": True},
    "more attempts than fit": {"attempts": 2**70},
    "negative attempts": {"attempts": -1},
    "fractional attempts": {"attempts": 1.5},
    "boolean attempts": {"attempts": True},
    "a naive instant": {"available_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point of it
    "NUL in a header": {"headers": {"k": "a\x00"}},
    "NUL in a header's key": {"headers": {"\x00": "v"}},
    "an empty header's key": {"headers": {"": "v"}},
    "a lone surrogate in a header": {"headers": {"k": "\ud800"}},
    "a header that is a number": {"headers": {"k": 1}},
}


class BadInput(Hooks):
    async def test_push_refuses_an_invalid_job(self) -> None:
        """With an error that is the caller's, whatever else was asked for."""
        queue = await self.fresh()
        for what, fields in BAD.items():
            for exist_ok in (False, True):
                with self.subTest(what, exist_ok=exist_ok):
                    with self.assertRaises(InvalidJob):
                        await queue.push(make_job(**fields), exist_ok=exist_ok)
                    self.assertEqual(await queue.size(), 0)

    async def test_push_many_refuses_an_invalid_job(self) -> None:
        """It is not stored; of the others, those before it are or none."""
        for what, fields in BAD.items():
            if "queue" in fields:
                continue  # nothing could be looked up under such a label
            with self.subTest(what):
                queue = await self.fresh()
                with self.assertRaises(InvalidJob):
                    await queue.push_many([make_job("before"), make_job(**fields), make_job("after")])
                self.assertIn(await self.popped_ids(queue), (["before"], []))

    async def test_a_view_refuses_an_invalid_job(self) -> None:
        """Views check what the queue checks."""
        view = (await self.fresh()).named("mail")
        with self.assertRaises(InvalidJob):
            await view.push(make_job(""))
        self.assertEqual(await view.size(), 0)

    async def test_the_queue_goes_on_after_a_refusal(self) -> None:
        """Nothing of a refused push is left: no lock, no open transaction, no taken id."""
        queue = await self.fresh()
        with self.assertRaises(InvalidJob):
            await queue.push(make_job("a", payload="text"))
        self.assertIs(await queue.push(make_job("a")), True)
        self.assertEqual(await self.popped_ids(queue), ["a"])

    async def test_durations_that_are_none_are_refused(self) -> None:
        """Negative, NaN, infinite or absurdly long: refused before anything is changed."""
        queue = await self.fresh()
        job = await self.reserve(queue)
        for seconds in (-1.0, math.nan, math.inf, -math.inf, 1e300):
            for what, call in (
                ("push", lambda s: queue.push(make_job("b"), delay=s)),
                ("push_many", lambda s: queue.push_many([make_job("b")], delay=s)),
                ("pop", queue.pop),
                ("pop_many", lambda s: queue.pop_many(2, s)),
                ("nack", lambda s: queue.nack(job, s)),
                ("settle", lambda s: queue.settle([Settlement(job, "nack", s)])),
                ("release", lambda s: queue.release(job, s)),
            ):
                with self.subTest(what, seconds=seconds), self.assertRaises(InvalidValue):
                    await self.soon(call(seconds))
        self.assertEqual(await queue.size(), 0)
        await queue.ack(job)

    async def test_a_limit_below_one_is_refused(self) -> None:
        """A batch has at least one job."""
        queue = await self.fresh()
        await queue.push(make_job())
        for limit in (0, -1):
            with self.assertRaises(InvalidValue):
                await queue.pop_many(limit)
        self.assertEqual(await queue.size(), 1)
