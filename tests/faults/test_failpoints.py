"""Failpoints are calls where they are installed, comments everywhere else, and do what a text says."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

import lagoqueue
from tests.faults.failpoints import (
    CALL,
    VARIABLE,
    Action,
    FailpointError,
    Loader,
    compiled_in,
    install,
    marks,
    parse,
    places,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")

ROOT = Path(__file__).parents[2]

PATIENCE = 60.0
"""Seconds after which a test gives up waiting for a process."""

MODULES = sorted({place.module for each in places().values() for place in each})

WORK = """
import asyncio
from tests.faults.failpoints import install

failpoints = install()

from lagoqueue import DriverError, MemoryQueue, Worker, dispatch
from tests.core.payloads import Resize

failpoints.error = DriverError
queue = MemoryQueue()
worker = Worker(queue)
done = []
worker.handle(Resize, lambda payload: done.append(payload.width))


async def main():
    for width in range(3):
        await dispatch(queue, Resize(width))
    await worker.run(burst=True)
    print(done, failpoints.reached["after_claim"], failpoints.reached["before_settle"])


asyncio.run(main())
"""
"""A program that does three jobs, each after a claim of its own, and settles each in a turn."""


# --- Calls and comments ---------------------------------------------------------------------------


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def lines(code: CodeType) -> set[int]:
    return {line for each in codes(code) for _, _, line in each.co_lines() if line}


def calls(code: CodeType) -> int:
    return sum(CALL in each.co_names for each in codes(code))


def code_of(module: str) -> CodeType:
    """What an ordinary import of a module runs."""
    spec = importlib.import_module(module).__spec__
    assert spec is not None
    code: CodeType = spec.loader.get_code(module)  # type: ignore[union-attr]
    return code


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_calls_where_failpoints_are_installed_and_nothing_otherwise(module: str) -> None:
    plain = code_of(module)
    hooked = Loader(module, plain.co_filename, print).get_code(module)
    marked = {place.line for each in places().values() for place in each if place.module == module}
    assert marked
    assert (calls(plain), lines(plain) & marked) == (0, set())
    assert calls(hooked) > 0
    assert lines(hooked) == lines(plain) | marked


def test_a_comment_becomes_a_call_on_the_same_line_and_at_the_same_depth() -> None:
    source = "def f():\n    if x:\n        # failpoint: some_name\n        g()\n    # failpoints\n"
    assert compiled_in(source) == source.replace("# failpoint: some_name", f'{CALL}("some_name")')


def test_a_name_stands_for_one_boundary_of_which_only_dialects_have_code_of_their_own() -> None:
    several = {name: each for name, each in places().items() if len(each) > 1}
    for each in several.values():
        assert all(place.module.startswith("lagoqueue_sql.dialects.") for place in each)
        assert len({place.module for place in each}) == len(each)


@pytest.mark.parametrize(
    "line",
    ["# failpoint:name", "#failpoint: name", "# failpoint name", "x = 1  # failpoint: name", "# Failpoint: Name"],
)
def test_a_comment_that_would_be_no_failpoint_is_refused(line: str) -> None:
    with pytest.raises(FailpointError, match="some_module, line 2: a failpoint is a line of its own"):
        marks(f"x = 0\n{line}\n", "some_module")


# --- The text -------------------------------------------------------------------------------------


def test_a_text_says_what_happens_where() -> None:
    assert parse("a=kill, b = stop ,c=raise@12", ["a", "b", "c"]) == {
        "a": Action("kill", None),
        "b": Action("stop", None),
        "c": Action("raise", 12),
    }
    assert parse("", ["a"]) == parse(" ", ["a"]) == {}


@pytest.mark.parametrize(
    "text",
    ["a", "a=", "a=die", "=kill", "a=kill@", "a=kill@0", "a=kill@-1", "a=kill@x", "a=kill;b=kill", "a=kill,", ","],
)
def test_a_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(FailpointError, match="write name=kill, name=stop or name=raise"):
        parse(text, ["a", "b"])


def test_a_name_that_no_line_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(FailpointError, match="the failpoint 'c'; there are a, b"):
        parse("a=kill,c=kill", ["b", "a"])


def test_a_name_is_not_given_twice() -> None:
    with pytest.raises(FailpointError, match="twice what is to happen at 'a'"):
        parse("a=kill@1,a=stop@2", ["a"])


# --- In a process ---------------------------------------------------------------------------------


def start(program: str, text: str = "", *paths: Path) -> subprocess.Popen[str]:
    found = [*map(str, paths), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found), VARIABLE: text}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """What a process has said that ends well."""
    with process:
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    return output.strip()


def last_error(process: subprocess.Popen[str]) -> str:
    with process:
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 1, errors
    return errors.strip().rpartition("\n")[2]


def test_what_is_reached_is_counted() -> None:
    assert said(start(WORK)) == "[0, 1, 2] 3 0"


def test_an_error_is_raised_at_the_time_that_was_asked_for() -> None:
    # The second turn fails before the store has heard of it, so that its job is settled alone.
    assert said(start(WORK, "before_turn=raise@2")) == "[0, 1, 2] 3 1"


def test_a_process_kills_itself_at_the_time_that_was_asked_for() -> None:
    with start(WORK, "after_claim=kill@3") as process:
        try:
            assert process.wait(PATIENCE) == -signal.SIGKILL
        finally:
            process.kill()
    assert said(start(WORK, "after_claim=kill@4")) == "[0, 1, 2] 3 0"


@pytest.mark.timeout(PATIENCE)  # for a process that neither stops nor ends
def test_a_process_stops_itself_until_it_is_told_to_go_on() -> None:
    with start(WORK, "after_claim=stop@2") as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            process.send_signal(signal.SIGCONT)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (output.strip(), process.returncode) == ("[0, 1, 2] 3 0", 0), errors


@pytest.mark.parametrize("text", ["after_clam=kill", "after_claim=kil"])
def test_a_program_with_a_wrong_text_ends_before_it_begins(text: str) -> None:
    assert re.match(r"tests\.faults\.failpoints\.FailpointError: .*after_cla?im?", last_error(start(WORK, text)))


def test_failpoints_are_not_installed_once_the_product_is_imported() -> None:
    with pytest.raises(FailpointError, match="must be installed before lagoqueue"):
        install("")


def test_failpoints_are_installed_once() -> None:
    assert last_error(start("from tests.faults.failpoints import install\ninstall()\ninstall()")).endswith(
        "failpoints are installed in this process already"
    )


# --- However it is installed ----------------------------------------------------------------------


IMPORT = """
import sys
{hook}
import lagoqueue.exchange

print(lagoqueue.exchange.__file__)
print("_failpoint" in lagoqueue.exchange.Exchange._received.__code__.co_names)
"""

HOOK = "from tests.faults.failpoints import install; install()"

EDITABLE = """
from importlib.util import spec_from_file_location
from pathlib import Path

class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "lagoqueue":
            folder = Path({site!r}) / name
            return spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])

sys.meta_path.insert(0, Editable)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which lagoqueue lies as a wheel's does."""
    folder = Path(lagoqueue.__file__).parent
    shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.pyx"))
    return tmp_path


def expected(site: Path, hooked: bool) -> str:
    return f"{site / 'lagoqueue/exchange.py'}\n{hooked}"


@pytest.mark.slow
def test_an_installed_package_has_failpoints_and_their_bytecode_is_neither_read_nor_written(site: Path) -> None:
    plain, hooked = IMPORT.format(hook=""), IMPORT.format(hook=HOOK)
    assert said(start(hooked, "", site)) == expected(site, True)
    assert not [*site.glob("lagoqueue/__pycache__/exchange.*")]
    assert said(start(plain, "", site)) == expected(site, False)
    assert [*site.glob("lagoqueue/__pycache__/exchange.*")]
    assert said(start(hooked, "", site)) == expected(site, True)
    assert said(start(plain, "", site)) == expected(site, False)


@pytest.mark.slow
def test_a_package_that_another_import_hook_finds_has_failpoints_as_well(site: Path) -> None:
    editable = EDITABLE.format(site=str(site))
    assert said(start(IMPORT.format(hook=editable + HOOK))) == expected(site, True)
