"""Failpoints: places in the product at which a test has its process killed or stopped, or an error raised.

A failpoint is a comment in the product's Python, on a line of its own:

    # failpoint: after_claim

It costs nothing, since it is a comment. A program that wants failpoints calls `install` before it imports lagoqueue.
From then on each module that has such comments is compiled from its source, with every one of them turned into a call
on the same line: in this process and nowhere else, since bytecode is neither read for it nor written.

What happens where is said by a text, given to `install` or in the environment:

    LAGOQUEUE_FAILPOINTS="after_claim=kill@3, before_beat=stop"

`kill` is a SIGKILL to this process, and `stop` a SIGSTOP, which lasts until somebody sends it SIGCONT. `raise` raises
`Failpoints.error`. `@3` means the third time that this process gets there, and no other; without it, it is every time.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source, find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

VARIABLE = "LAGOQUEUE_FAILPOINTS"
PACKAGES = ("lagoqueue", "lagoqueue_sql")

CALL = "_failpoint"
"""Under this name a module that has failpoints finds `Failpoints.reach`."""

_MARK = re.compile(r"^([ \t]*)# failpoint: ([a-z_]+)$", re.MULTILINE)
_LIKE_A_MARK = re.compile(r"#\s*failpoint\b", re.IGNORECASE)
_ITEM = re.compile(r"\s*(\w+)\s*=\s*(kill|stop|raise)(?:@([1-9][0-9]*))?\s*")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class FailpointError(ValueError):
    """A text or a comment that means no failpoint, or an `install` that would have no effect."""


class Action(NamedTuple):
    """What happens at a failpoint, and the one time at which it does; every time if that is None."""

    what: str
    at: int | None


class Place(NamedTuple):
    """Where the comment of a failpoint stands."""

    module: str
    line: int


class Failpoints:
    """What is to happen, and what has been reached.

    Attributes:
        reached: How often this process has got to each failpoint, whether anything happens there or not.
        error: Makes the error of `raise` from a text. Lagoqueue's own can be set once it is imported.
    """

    def __init__(self, actions: Mapping[str, Action], error: Callable[[str], BaseException]) -> None:
        self.reached: Counter[str] = Counter()
        self.error = error
        self._actions = actions
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        """Count a failpoint, and do what is to be done there; from any thread."""
        with self._lock:
            self.reached[name] += 1
            time = self.reached[name]
        action = self._actions.get(name)
        if action is None or action.at not in (None, time):
            return
        if action.what == "raise":
            raise self.error(f"failpoint {name}, time {time}")
        signal.pthread_kill(threading.get_ident(), _SIGNALS[action.what])  # so that this thread goes no step further


def install(text: str | None = None, *, error: Callable[[str], BaseException] = RuntimeError) -> Failpoints:
    """Have lagoqueue's modules imported with their failpoints, in this process.

    Args:
        text: What is to happen where; by default that of the environment, or nothing, and then it only counts.
        error: What `raise` raises: an exception class.

    Raises:
        FailpointError: The text is malformed, no line of the product has a name in it, lagoqueue has been imported
            already, or this has been called before.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        raise FailpointError("failpoints are installed in this process already")
    for name in sys.modules:
        if name.partition(".")[0] in PACKAGES:
            raise FailpointError(f"failpoints must be installed before {name} is imported")
    found = places()
    failpoints = Failpoints(parse(os.environ.get(VARIABLE, "") if text is None else text, found), error)
    sys.meta_path.insert(0, _Finder({place.module for each in found.values() for place in each}, failpoints.reach))
    return failpoints


# --- The text -------------------------------------------------------------------------------------


def parse(text: str, known: Collection[str]) -> dict[str, Action]:
    """Return what a text says is to happen at each failpoint.

    Raises:
        FailpointError: It is malformed, or has a name that is not known.
    """
    actions: dict[str, Action] = {}
    for item in text.split(",") if text.strip() else ():
        match = _ITEM.fullmatch(item)
        if match is None:
            raise FailpointError(
                f"{item.strip()!r} in {text!r} is no failpoint: write name=kill, name=stop or name=raise, "
                "with @3 behind it for the third time alone, and commas between several"
            )
        name, what, at = match.groups()
        if name not in known:
            raise FailpointError(
                f"no line of the product is the failpoint {name!r}; there are {', '.join(sorted(known))}"
            )
        if name in actions:
            raise FailpointError(f"{text!r} says twice what is to happen at {name!r}")
        actions[name] = Action(what, None if at is None else int(at))
    return actions


# --- The comments ---------------------------------------------------------------------------------


def places() -> dict[str, list[Place]]:
    """Return where in the installed packages each failpoint is. Imports none of them."""
    found: defaultdict[str, list[Place]] = defaultdict(list)
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(folder).rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                module = ".".join((package, *(part for part in parts if part != "__init__")))
                for name, line in marks(decode_source(path.read_bytes()), module):
                    found[name].append(Place(module, line))
    return dict(found)


def marks(source: str, module: str) -> list[tuple[str, int]]:
    """Return the failpoints of a source, each with its line.

    Raises:
        FailpointError: A comment is meant to be one, but is not written as one.
    """
    found: list[tuple[str, int]] = []
    if not _LIKE_A_MARK.search(source):  # as in most, and a line at a time is slow
        return found
    for number, line in enumerate(source.split("\n"), 1):
        if match := _MARK.fullmatch(line):
            found.append((match[2], number))
        elif _LIKE_A_MARK.search(line):
            raise FailpointError(f"{module}, line {number}: a failpoint is a line of its own, `# failpoint: some_name`")
    return found


def compiled_in(source: str) -> str:
    """Return a source with its failpoints as calls, every line where it was."""
    return _MARK.sub(rf'\1{CALL}("\2")', source)


# --- The import hook ------------------------------------------------------------------------------


class _Finder(MetaPathFinder):
    """Finds the modules that have failpoints where all other finders do, and has them loaded by a `Loader`.

    So it does not matter how they were installed: as files in site-packages, or editable by a path or a finder.
    """

    def __init__(self, modules: Collection[str], reach: Callable[[str], None]) -> None:
        self._modules = modules
        self._reach = reach

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(fullname, spec.loader.path, self._reach)
        return spec


class Loader(SourceFileLoader):
    """Loads a module with its failpoints, from its source each time."""

    def __init__(self, fullname: str, path: str, reach: Callable[[str], None]) -> None:
        super().__init__(fullname, path)
        self._reach = reach

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, CALL, self._reach)
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source. The inherited one would read and write bytecode."""
        path = self.get_filename(fullname)
        return self.source_to_code(compiled_in(decode_source(self.get_data(path))), path)
