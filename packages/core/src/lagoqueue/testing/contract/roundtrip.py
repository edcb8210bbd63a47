"""What is pushed comes out as it went in, whatever is in it."""

from __future__ import annotations

from lagoqueue.job import MAX_ID, MAX_LABEL, MAX_NAME, MAX_PRIORITY
from lagoqueue.testing.contract.hooks import Hooks, make_job

PAYLOADS = {
    "json": b'{"user_id": 42}',
    "empty": b"",
    "NUL": b"\x00",
    "NUL inside": b"a\x00b",
    "not UTF-8": b"\xff\xfe\x80",
    "every byte": bytes(range(256)),
    "a quote": b"'; DROP TABLE jobs; --",
    "1 MB": b"\x00x'" * 349_526,
}

HOSTILE = [
    "it's",
    'say "so"',
    "`tick`",
    "back\\slash",
    "a/b/../c",
    "100%",
    "%s %(id)s :id $1 ?",
    "{id} {{7*7}}",
    "'; DROP TABLE jobs; --",
    "a;b",
    "tab\tnew\nline\r",
    "\x7f\x01",
    " leading",
    "trailing ",
    "trailing",
    "Case",
    "case",
    "\u00e9",  # one character
    "e\u0301",  # the same to the eye, in two
    "e",
    "\u65e5\u672c\u8a9e",
    "\U0001f980",
    "\u202eright to left",
    "\u2028",
    "null",
    "None",
    "0",
    "00",
    "1e3",
]
"""Texts that careless quoting, trimming, folding or number conversion would break or confuse."""


class RoundTrip(Hooks):
    async def test_any_payload_comes_out_as_it_went_in(self) -> None:
        """A payload is bytes: none are special, and none are too few or too many up to 1 MB."""
        queue = await self.fresh()
        for what, payload in PAYLOADS.items():
            with self.subTest(what):
                job = await self.reserve(queue, what, payload=payload)
                self.assertIs(type(job.payload), bytes)
                self.assertEqual(len(job.payload), len(payload))
                self.assertTrue(job.payload == payload, "the bytes differ")
                await queue.ack(job)

    async def test_hostile_ids_stay_apart(self) -> None:
        """Ids that differ are different jobs; each comes out, and is settled, under its own."""
        queue = await self.fresh()
        ids = [*HOSTILE, "i" * MAX_ID, "\U0001f980" * MAX_ID]
        for job_id in ids:
            self.assertTrue(await queue.push(make_job(job_id)))
        self.assertEqual(await queue.size(), len(ids))
        self.assertEqual(await self.popped_ids(queue), ids)

    async def test_hostile_names_and_headers_come_out_as_they_went_in(self) -> None:
        """Names, header keys and header values are text, kept exactly."""
        queue = await self.fresh()
        names = [*HOSTILE, "n" * MAX_NAME]
        for number, name in enumerate(names):
            headers = {name: "", "value": name * 3}
            job = await self.reserve(queue, str(number), name=name, headers=headers)
            self.assertEqual((job.name, job.headers), (name, headers))
            await queue.ack(job)

    async def test_hostile_labels_stay_apart(self) -> None:
        """Labels that differ are different queues."""
        queue = await self.fresh()
        labels = [*HOSTILE, "l" * MAX_LABEL]
        for number, label in enumerate(labels):
            await queue.push(make_job(str(number), queue=label))
        for number, label in enumerate(labels):
            with self.subTest(label):
                self.assertEqual(await queue.size(labels=[label]), 1)
                job = await queue.pop(labels=[label])
                self.assertEqual((job.id, job.queue), (str(number), label))
                await queue.ack(job)

    async def test_priority_comes_out_as_it_went_in(self) -> None:
        """The whole range of 32 bits, and zero."""
        queue = await self.fresh()
        for priority in (-MAX_PRIORITY, -1, 0, 1, MAX_PRIORITY):
            job = await self.reserve(queue, priority=priority)
            self.assertEqual(job.priority, priority)
            await queue.ack(job)

    async def test_many_headers(self) -> None:
        """None, and a hundred with long values."""
        queue = await self.fresh()
        for headers in ({}, {f"key-{number}": "v" * 1_000 for number in range(100)}):
            job = await self.reserve(queue, headers=headers)
            self.assertEqual(job.headers, headers)
            await queue.ack(job)

    async def test_a_receipt_that_is_pushed_is_ignored(self) -> None:
        """A receipt comes from a reservation and from nowhere else."""
        queue = await self.fresh()
        job = await self.reserve(queue, receipt="mine")
        self.assertNotEqual(job.receipt, "mine")
        await queue.ack(job)
