"""All benchmarks, one table after another: `nox -s bench`, `nox -s bench -- quick`, `nox -s bench -- heap codec`."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from importlib.metadata import version

FILES = ("heap", "codec", "memory", "sqlite", "pinned", "dashboard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="quick|NAME", help=f"quick, or any of {', '.join(FILES)}")
    words = parser.parse_args().words
    if unknown := set(words) - {"quick", *FILES}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(FILES)}")
    print(
        f"lagoqueue-core {version('lagoqueue-core')}, lagoqueue-sql {version('lagoqueue-sql')}, "
        f"msgspec {version('msgspec')}, CPython {platform.python_version()}, {platform.machine()}\n"
        "Medians of interleaved rounds; compare within a table only.\n"
    )
    for name in [word for word in words if word != "quick"] or FILES:
        for table in importlib.import_module(f"bench_{name}").run("quick" in words):
            print(f"{table}\n", flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
