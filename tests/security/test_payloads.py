"""A payload is data: whatever it looks like, a registered handler gets it as its own type, or nobody does."""

# ruff: noqa: ASYNC240 - that a file is not there is all that these tests ask of the disk

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from lagoqueue import FailedJobNotFound, Job, MemoryQueue, Worker, current_job
from lagoqueue.monitor import MemoryInspector
from lagoqueue_sql import SQLInspector, SQLQueue
from tests.dashboard.visits import Visitor, served
from tests.security.watching import harmful, watching

pytestmark = pytest.mark.security

MODULE = "tests.security.landmine"
WORDS = ("landmine", "LANDMINE")
"""What is in everything that the payloads and names want to have done."""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is there once anything here has been run."""
    path = tmp_path / "landmine went off"
    monkeypatch.setenv("LANDMINE", str(path))
    return path


# --- Payloads ---------------------------------------------------------------------------------------


class Bomb:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {shlex.quote(os.environ['LANDMINE'])}",)


def payloads() -> dict[str, bytes]:
    """Return what other queues would run, by what it is; it runs `touch` on the mark."""
    code = "__import__('tests.security.landmine')"
    pickled = pickle.dumps(Bomb(), protocol=0)
    texts = {
        "pickle in base64": base64.b64encode(pickle.dumps(Bomb())).decode(),
        "pickle as text": pickled.decode("latin-1"),
        "Python": code,
        "f-string": f"{{{code}}}",
        "template": f"{{{{ cycler.__init__.__globals__.os.popen({code!r}) }}}}",
        "yaml": f'!!python/object/apply:{MODULE}.explode ["x"]',
    }
    objects: dict[str, Any] = {
        "jsonpickle": {"py/reduce": [{"py/type": f"{MODULE}.explode"}, {"py/tuple": []}]},
        "celery": {"__type__": "task", "task": f"{MODULE}.explode", "args": [], "kwargs": {}},
        "a class": {"__class__": f"{MODULE}:explode", "__module__": MODULE, "__reduce__": [f"{MODULE}.explode", []]},
        "a name": {"__job_name__": f"{MODULE}:explode", "__init__": code, "__dict__": {"user": code}},
    }
    return {
        **{f"pickle {number}": pickle.dumps(Bomb(), protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
        "marshal": marshal.dumps(compile(code, "landmine", "eval")),
        "yaml alone": texts["yaml"].encode(),
        "Python alone": code.encode(),
        **{what: json.dumps(text).encode() for what, text in texts.items()},
        **{f"{what} as a value": json.dumps({"value": text, "user": 1}).encode() for what, text in texts.items()},
        **{what: json.dumps(value).encode() for what, value in objects.items()},
        **{f"{what} as a value": json.dumps({"value": value}).encode() for what, value in objects.items()},
        **{f"{what} in an array": json.dumps([value]).encode() for what, value in (texts | objects).items()},
    }


class AsStruct(msgspec.Struct):
    value: Any = None


@dataclass
class AsDataclass:
    value: Any = None


@attrs.define
class AsAttrs:
    value: Any = None


class AsTuple(NamedTuple):
    value: Any


class AsTyped(TypedDict, total=False):
    value: Any


class AsModel(pydantic.BaseModel):
    value: Any = None


KINDS: tuple[Any, ...] = (AsStruct, AsDataclass, AsAttrs, AsTuple, AsTyped, AsModel)
"""Every kind of payload type, each as open as it can be."""


def plain(value: object) -> bool:
    """Tell whether a value is made of nothing but what JSON has."""
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and plain(each) for key, each in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


async def test_payloads_are_decoded_and_never_run(queue: MemoryQueue | SQLQueue, mark: Path) -> None:
    got: dict[str, Any] = {}
    headers: dict[str, dict[str, str]] = {}
    worker = Worker(queue, max_retry=1)

    async def handler(payload: Any) -> None:
        got[current_job().id] = payload
        headers[current_job().id] = current_job().headers

    for kind in KINDS:
        worker.handle(kind, handler)
    sent = {f"{kind.__name__}, {what}": data for kind in KINDS for what, data in payloads().items()}
    note = {"__reduce__": f"{MODULE}:explode", "pickle": payloads()["pickle 0"].decode("latin-1")}
    await queue.push_many([Job(each, each.partition(",")[0], data, headers=note) for each, data in sent.items()])
    with watching() as seen:
        await worker.run(burst=True)
    assert harmful(seen, WORDS) == []
    assert not mark.exists()
    for each, data in sent.items():
        kind = next(kind for kind in KINDS if each.startswith(f"{kind.__name__},"))
        if each in got:
            assert type(got[each]) is (dict if kind is AsTyped else kind)
            value = got[each].get("value") if kind is AsTyped else got[each].value
            assert plain(value)
            assert headers[each] == note
            if "as a value" in each:
                assert value == json.loads(data)["value"]
            if "in an array" in each:
                assert value == json.loads(data)[0]
        else:
            failed = await queue.failed_jobs.get(each)
            assert failed.kind == "lagoqueue.errors.PayloadDecodeError"
            assert (failed.job.payload, failed.job.headers) == (data, note)
    assert {kind.__name__ for kind in KINDS} == {each.partition(",")[0] for each in got}
    assert len(got) < len(sent)


async def test_the_pages_show_them_and_run_nothing(queue: MemoryQueue | SQLQueue, mark: Path) -> None:
    sent = payloads()
    for what, data in sent.items():
        await queue.push(Job(f"w {what}", f"{MODULE}:explode", data, queue="waits"))
        await queue.failed_jobs.record(Job(f"f {what}", f"{MODULE}:explode", data, attempts=1), "default", OSError("x"))
    inspector = (
        SQLInspector(queue) if isinstance(queue, SQLQueue) else MemoryInspector(None, queue.failed_jobs, queue=queue)
    )
    async with Visitor(served(inspector)) as visitor:
        await visitor.page("/")  # which loads what pages need
        with watching() as seen:
            for what in sent:
                assert f"{MODULE}:explode" in (await visitor.page("/failed/job", id=f"f {what}")).text
                assert f"{MODULE}:explode" in json.dumps(await visitor.json("/api/job", id=f"w {what}"))
    assert harmful(seen, WORDS) == []
    assert not mark.exists()


class Card(pydantic.BaseModel):
    number: int


class DiscreetCard(Card):
    model_config = pydantic.ConfigDict(hide_input_in_errors=True)


async def test_a_failure_quotes_the_payload_of_a_pydantic_model_unless_that_hides_it() -> None:
    async with MemoryQueue() as queue:
        worker = Worker(queue)
        for kind in (Card, DiscreetCard):
            worker.handle(kind, lambda payload: None)
            await queue.push(Job(kind.__name__, kind.__name__, b'{"number":"4111-s3cr3t"}'))
        await worker.run(burst=True)
        quoted = await queue.failed_jobs.get("Card")
        hidden = await queue.failed_jobs.get("DiscreetCard")
    assert "4111-s3cr3t" in quoted.error
    assert "s3cr3t" not in hidden.error + hidden.traceback


# --- Names ------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct):
    user: int


NAMES = [
    *(MODULE, f"{MODULE}:explode", f"{MODULE}.explode", f"{MODULE}:explode()", f"{MODULE}/explode"),
    *("tests/security/landmine.py", f"import {MODULE}", f"__import__('{MODULE}')", f"{{__import__('{MODULE}')}}"),
    *("os.system", "os:system", "builtins.eval", "eval", "__main__:x", "__main__", "lagoqueue.worker:Worker", "Worker"),
    *("__class__", "__init__", "Welcome.__init__", "Welcome:__class__", "{0.__class__}", "{{7*7}}", "%(user)s", "%s"),
    *("welcome", "WELCOME", " Welcome", "Welcome ", "Welcome\n", "\u200bWelcome", "\uff37elcome", "Welcom\u0435"),
    *("test_payloads.Welcome", "tests.security.test_payloads.Welcome", f"{__name__}:Welcome", "*", "Welcome*"),
]
"""What would be found by an import, by an attribute, or by a comparison that is not to the letter."""


async def test_a_name_is_looked_up_among_the_handlers_and_nowhere_else(
    queue: MemoryQueue | SQLQueue, mark: Path
) -> None:
    ran: list[str] = []
    worker = Worker(queue, max_retry=1, unknown_grace=0)

    @worker.handle(Welcome)
    async def welcome(payload: Welcome) -> None:
        ran.append(current_job().name)

    names = dict(enumerate(NAMES))
    await queue.push_many([Job(f"{number}", name, b'{"user":1}') for number, name in names.items()])
    await queue.push(Job("known", "Welcome", b'{"user":1}'))
    with watching() as seen:
        await worker.run(burst=True)
    assert ran == ["Welcome"]
    assert harmful(seen, WORDS) == []
    assert MODULE not in sys.modules
    assert not mark.exists()
    for number, name in names.items():
        failed = await queue.failed_jobs.get(f"{number}")
        assert (failed.kind, failed.job.name) == ("lagoqueue.errors.UnknownJob", name)
    with pytest.raises(FailedJobNotFound):
        await queue.failed_jobs.get("known")


# --- The tests themselves -----------------------------------------------------------------------------


def test_each_of_these_goes_off_where_it_is_run(mark: Path) -> None:
    live = payloads()
    with watching() as seen:
        pickle.loads(live["pickle 2"])
    assert {each.name for each in harmful(seen, WORDS)} == {"pickle.find_class", "os.system"}
    assert mark.exists()
    mark.unlink()
    try:
        with watching() as seen:
            eval(marshal.loads(live["marshal"]))
        assert {"import"} <= {each.name for each in harmful(seen, WORDS)}
        assert mark.exists()
    finally:
        sys.modules.pop(MODULE, None)
