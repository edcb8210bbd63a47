"""The benchmarks: `nox -s bench`, or `nox -s bench -- quick`, or `nox -s bench -- quick drain sqlite`.

Each suite prints tables. All that are compared were measured in one sitting, in turns; compare within a table only.
"""

from __future__ import annotations

import argparse
import importlib

from harness.sizes import Size
from harness.stores import Stores

SUITES = (
    "micro",
    "enqueue",
    "drain",
    "processes",
    "latency",
    "backlog",
    "pinned",
    "sqlite",
    "mariadb",
    "footprint",
    "dashboard",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="quick|SUITE", help=f"quick, or any of {', '.join(SUITES)}")
    words = parser.parse_args().words
    if unknown := set(words) - {"quick", "tiny", *SUITES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are quick, {', '.join(SUITES)}")
    size: Size = "tiny" if "tiny" in words else "quick" if "quick" in words else "full"
    with Stores() as stores:
        for name in [suite for suite in SUITES if suite in words] or SUITES:
            for table in importlib.import_module(f"suites.{name}").tables(stores, size):
                print(f"{table}\n", flush=True)


if __name__ == "__main__":
    main()
