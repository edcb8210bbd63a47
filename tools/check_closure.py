"""Fail when the environment that this runs in holds more than it should, or an extension written in Rust.

    python tools/check_closure.py                                     no Rust in anything installed
    python tools/check_closure.py --exactly lagoqueue-core msgspec    and nothing else installed

Run it with the interpreter of an environment into which only the distributions in question were
installed: what is there is then their closure. Standard library only, so that it adds nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

INSTALLERS = {"pip", "setuptools", "wheel", "uv"}
"""What makes an environment, and is not in the closure of anything of ours."""

RUST_TRACES = (b"/rustc/", b"RUST_BACKTRACE", b"rust_panic", b"rust_eh_personality")
"""At least one is in every binary that links Rust's standard library, stripped or not."""

NATIVE = {".so", ".pyd", ".dylib", ".dll"}


def normalized(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(path: list[str] | None = None) -> list[Distribution]:
    """Return what is installed, without the installers."""
    found = distributions() if path is None else distributions(path=path)
    return [each for each in found if normalized(each.metadata["Name"]) not in INSTALLERS]


def rust_in(distribution: Distribution) -> str | None:
    """Return how one can tell that a distribution is written in Rust, or None."""
    generator = re.search(r"^Generator:\s*(.*)$", distribution.read_text("WHEEL") or "", re.MULTILINE)
    if generator and re.search("maturin|rust", generator[1], re.IGNORECASE):
        return f"built by {generator[1]}"
    for file in distribution.files or []:
        if file.suffix in NATIVE and file.name:
            content = Path(str(distribution.locate_file(file))).read_bytes()
            for trace in RUST_TRACES:
                if trace in content:
                    return f"{file} holds {trace.decode()!r}"
    return None


def check(found: Iterable[Distribution], exactly: Iterable[str] = ()) -> list[str]:
    """Return one line for each fault."""
    found = list(found)
    wanted = {normalized(name) for name in exactly}
    names = {normalized(each.metadata["Name"]) for each in found}
    problems: list[str] = []
    if wanted:
        problems += [
            f"{name} is installed, but not in the closure that was promised" for name in sorted(names - wanted)
        ]
        problems += [f"{name} is not installed" for name in sorted(wanted - names)]
    for each in found:
        trace = rust_in(each)
        if trace:
            problems.append(f"{each.metadata['Name']} {each.version} is a Rust extension: {trace}")
    return problems


def main() -> int:
    """Print what is installed and the faults; 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exactly", nargs="+", default=[], metavar="NAME", help="all that may be installed")
    arguments = parser.parse_args()
    found = installed()
    problems = check(found, arguments.exactly)
    print("installed:", ", ".join(sorted(f"{each.metadata['Name']} {each.version}" for each in found)))
    for problem in problems:
        print(problem)
    if not found:
        print("nothing is installed here, so nothing was checked")
    return 1 if problems or not found else 0


if __name__ == "__main__":
    sys.exit(main())
