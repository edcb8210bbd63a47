"""Payloads of all kinds, as they are shown: whole where that is possible, cut where it must be, secrets out."""

from __future__ import annotations

import json
import threading
from typing import Any

import msgspec
import pytest

from lagoqueue.job import Job
from lagoqueue_dashboard import reading
from lagoqueue_dashboard.payload import (
    MOST_BYTES,
    MOST_CHILDREN,
    MOST_DEPTH,
    MOST_NODES,
    MOST_TEXT,
    MOST_TREE,
    MOST_VALUE,
    Node,
    PayloadView,
    redact_secrets,
    show_payload,
)
from tests.dashboard.visits import Visitor, served
from tests.dashboard.worlds import DETAILED_WORLDS, World

pytestmark = pytest.mark.security


def shown(payload: bytes, redact: Any = redact_secrets) -> PayloadView:
    return show_payload(Job("j", "J", payload), redact)


def leaves(node: Node | None) -> list[tuple[str | None, str]]:
    """Return keys and texts of all values that have no more below them."""
    if node is None:
        return []
    if node.children:
        return [leaf for child in node.children for leaf in leaves(child)]
    return [(node.key, node.text)]


def count(node: Node) -> int:
    return 1 + sum(map(count, node.children))


def test_every_kind_of_value() -> None:
    view = shown(b'{"a":[1,-2.5,true,false,null,"x"],"b":{},"c":[],"":""}')
    assert view.tree is not None
    assert (view.tree.kind, view.tree.size) == ("object", 4)
    array = view.tree.children[0]
    assert [(child.kind, child.text) for child in array.children] == [
        ("number", "1"), ("number", "-2.5"), ("true", "true"), ("false", "false"), ("null", "null"), ("text", "x"),
    ]  # fmt: skip
    assert [(child.kind, child.key, child.size) for child in view.tree.children[1:]] == [
        ("object", "b", 0), ("array", "c", 0), ("text", "", 0),
    ]  # fmt: skip
    assert (view.cut, view.note) == (False, "")
    assert json.loads(view.text) == {"a": [1, -2.5, True, False, None, "x"], "b": {}, "c": [], "": ""}


@pytest.mark.parametrize(
    "number", ["123456789012345678901234567890", "-9007199254740993", "1" * 300, "18446744073709551616"]
)
def test_numbers_are_shown_exactly(number: str) -> None:
    view = shown(f'{{"n":{number}}}'.encode())
    assert leaves(view.tree) == [("n", number)]
    assert number in view.text


def test_of_a_key_that_is_there_twice_the_last_counts_as_for_the_handler() -> None:
    assert leaves(shown(b'{"a":1,"a":2}').tree) == [("a", "2")]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\xff\xfe\x00", "\\xff\\xfe\x00"),
        (b"\x80pickle", "\\x80pickle"),
        (b'{"a":', '{"a":'),
        (b"a\x00b", "a\x00b"),
        (b"NaN", "NaN"),
        (b"[1e400]", "[1e400]"),
        (b"9" * 5000, "9" * 5000),
        (b'"\\ud800"', '"\\ud800"'),
        (b"\xef\xbb\xbf{}", "\ufeff{}"),
    ],
)
def test_what_is_no_json_is_shown_as_text(payload: bytes, text: str) -> None:
    view = shown(payload)
    assert (view.tree, view.text, view.size, view.cut) == (None, text, len(payload), False)
    assert view.note.startswith("It is not JSON: ")


def test_nothing() -> None:
    assert shown(b"") == PayloadView(None, "", 0, False, "It is empty.")


# --- Limits -------------------------------------------------------------------------------------------


def test_a_long_text() -> None:
    view = shown(msgspec.json.encode({"text": "x" * 200_000}))
    assert (len(view.text), view.cut, view.size) == (MOST_TEXT, True, 200_011)
    assert leaves(view.tree) == [("text", "x" * MOST_VALUE + "…")]
    assert view.note == "It is long, so not all of it is shown."


def test_much_that_is_no_json() -> None:
    view = shown(b"\xff" * MOST_BYTES)
    assert (view.tree, view.cut, len(view.text)) == (None, True, 4 * MOST_TEXT)


def test_more_than_is_decoded() -> None:
    view = shown(b'"' + b"x" * MOST_BYTES + b'"')
    assert view == PayloadView(None, "", MOST_BYTES + 2, True, "It is too large to be shown: at most 256 KB are.")


def test_many_values() -> None:
    wide = shown(msgspec.json.encode([[0] * 300] * 300))
    assert wide.tree is not None
    assert wide.cut
    assert count(wide.tree) < 2 * MOST_NODES
    first = wide.tree.children[0]
    assert len(first.children) == MOST_CHILDREN + 1
    assert (first.children[-1].kind, first.children[-1].text) == ("more", "100 more")


@pytest.mark.parametrize("value", ["x" * MOST_VALUE, "\0" * MOST_VALUE, {"k" * 5000: 1}, int("7" * 4000)])
def test_a_tree_has_so_many_characters_at_most(value: Any) -> None:
    view = shown(b'{"a":1}', lambda job, payload: [value] * 900)
    assert view.cut
    assert MOST_TREE <= sum(len(key or "") + len(text) for key, text in leaves(view.tree)) < MOST_TREE + 7 * MOST_VALUE
    assert leaves(view.tree)[-1][1].endswith(" more")


@pytest.mark.parametrize("depth", [MOST_DEPTH, MOST_DEPTH + 1, 500])
def test_deep_nesting(depth: int) -> None:
    view = shown(b"[" * depth + b"]" * depth, None)
    node, levels = view.tree, 0
    while node is not None and node.kind == "array":
        levels += 1
        node = node.children[0] if node.children else None
    assert levels == min(depth, MOST_DEPTH + 1)
    assert view.cut == (depth > MOST_DEPTH + 1)


def test_nesting_that_no_decoder_takes() -> None:
    view = shown(b"[" * 100_000)
    assert view.tree is None
    assert view.note.startswith("It is not JSON")


# --- Secrets ------------------------------------------------------------------------------------------

SECRET_KEYS = [
    "password",
    "Password",
    "user_passwd",
    "client-secret",
    "API key",
    "apiKey",
    "Authorization",
    "Set-Cookie",
]


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", ["hunter2", {"deep": "hunter2"}, ["hunter2"], 12345])
def test_secrets_are_hidden(key: str, value: Any) -> None:
    for payload in ({key: value}, {"a": [{key: value}]}):
        view = shown(msgspec.json.encode(payload))
        assert "[redacted]" in view.text
        assert "hunter2" not in str(view)
        assert "12345" not in str(view)


@pytest.mark.parametrize(
    "payload",
    [b"password=hunter2", b'{"password":"hunter2"', b'\xff{"API_KEY": "hunter2"}', b'{"token":"hunter2","n":1e400}'],
)
def test_secrets_in_what_is_no_json_are_hidden(payload: bytes) -> None:
    view = shown(payload)
    assert "hunter2" not in str(view)
    assert "[redacted]" in view.text


def test_secrets_below_what_is_shown_are_hidden_in_the_text_too() -> None:
    payload: Any = {"password": "hunter2"}
    for _ in range(100):
        payload = [payload]
    assert "hunter2" not in str(shown(msgspec.json.encode(payload)))


def test_without_redaction_all_is_shown() -> None:
    assert leaves(shown(b'{"password":"hunter2"}', None).tree) == [("password", "hunter2")]


def test_a_hook_sees_the_job_and_what_it_returns_is_shown() -> None:
    view = shown(b'{"a":1}', lambda job, value: {"job": job.id, **value})
    assert leaves(view.tree) == [("job", "j"), ("a", "1")]
    assert shown(b"\xff", lambda job, value: value.hex()).text == '"ff"'


@pytest.mark.parametrize("wrong", [lambda job, value: 1 / 0, lambda job, value: object(), lambda job, value: "\ud800"])
def test_a_hook_that_goes_wrong_shows_nothing(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    view = shown(b'{"a":"hunter2"}', wrong)
    assert (view.tree, view.text, view.cut) == (None, "", True)
    assert "hunter2" not in view.note
    assert caplog.records


# --- On a page ----------------------------------------------------------------------------------------

PAYLOADS = {
    "empty": b"",
    "long": b'"' + b"x" * 200_000 + b'"',
    "a megabyte": b'"' + b"x" * 2**20 + b'"',
    "five megabytes": b'"' + b"x" * 5 * 2**20 + b'"',
    "no UTF-8": b"\xff\xfe\xfd",
    "NUL": b"a\x00b",
    "escaped NUL": b'"a\\u0000b"',
    "bidi": '"\u202egnp.exe\u2066"'.encode(),
    "script": b'"</script><script>alert(1)</script>"',
    "deep": b"[" * 900 + b"]" * 900,
    "huge": b'{"n":' + b"7" * 400 + b"}",
    "twice": b'{"a":1,"a":2}',
}


@DETAILED_WORLDS
async def test_pages_of_payloads(world: World) -> None:
    for job_id, payload in PAYLOADS.items():
        await world.fail(job_id, payload=payload)
        await world.queue.push(Job(f"live {job_id}", "Welcome", payload, queue="default"))
    async with Visitor(served(world.inspector)) as visitor:
        for job_id, payload in PAYLOADS.items():
            for path, its in (("/failed/job", job_id), ("/job", f"live {job_id}")):
                page = await visitor.page(path, id=its)
                assert not any(character in page.text for character in "\x00\u202e\u2066\x9f")
                assert len(page.text) < 2 * MOST_TEXT
                twin = await visitor.json(f"/api{path}", id=its)
                assert twin["payload"]["size"] == len(payload)
        huge = await visitor.page("/job", id="live huge")
        assert "7" * 400 in huge.text
        assert "\\u202egnp.exe\\u2066" in (await visitor.page("/job", id="live bidi")).text


@DETAILED_WORLDS
async def test_payloads_are_made_ready_beside_the_event_loop(world: World) -> None:
    """Which one with very many values would hold up, and with it whatever else the process does."""
    await world.fail("f1", payload=b"{}")
    await world.queue.push(Job("j1", "Welcome", b"{}", queue="default"))
    threads: list[int] = []

    def redact(job: Job, payload: Any) -> Any:
        threads.append(threading.get_ident())
        return payload

    async with Visitor(served(world.inspector, redact=redact)) as visitor:
        await visitor.page("/failed/job", id="f1")
        await visitor.page("/job", id="j1")
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@DETAILED_WORLDS
async def test_lists_never_show_payloads(world: World) -> None:
    await world.fail("f1", payload=b'{"mark":"zanzibar"}')
    await world.queue.push(Job("j1", "Welcome", b'{"mark":"zanzibar"}', queue="default"))
    async with Visitor(served(world.inspector)) as visitor:
        for path in ("/", "/failed", "/failed?view=jobs", "/queue?name=default"):
            assert "zanzibar" not in (await visitor.get(path)).text
            assert "zanzibar" not in (await visitor.get("/api" + (path if path != "/" else "/overview"))).text


@DETAILED_WORLDS
async def test_payloads_are_not_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader keeps the last reads of all viewers; hundreds of megabytes among them would end the process."""
    made: list[reading.Reader] = []
    init = reading.Reader.__init__

    def remembered(self: reading.Reader, inspector: Any) -> None:
        made.append(self)
        init(self, inspector)

    monkeypatch.setattr(reading.Reader, "__init__", remembered)
    payload = b'"' + b"x" * 2**17 + b'"'
    await world.fail("f1", payload=payload)
    await world.queue.push(Job("j1", "Welcome", payload, queue="default"))
    await world.queue.push(Job("f1", "Welcome", payload, queue="default"))
    async with Visitor(served(world.inspector)) as visitor:
        await visitor.page("/failed/job", id="f1")
        await visitor.page("/job", id="j1")
    (reader,) = made
    kept = [kept.reading.value for kept in (*reader._kept.values(), *reader._chosen.values())]
    assert len(kept) > 3
    assert len(str(kept)) < 2**19
