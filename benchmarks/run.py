"""The benchmarks: `nox -s bench`, or `nox -s bench -- quick`, or `nox -s bench -- quick drain sqlite`.

Each suite prints tables. All that are compared were measured in one sitting, in turns; compare within a table only. What
was found is kept in benchmarks/results/latest.json, all rounds included.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import servers
from harness.markdown import write_into
from harness.overview import overview
from harness.results import LATEST, Results, load, machine, now
from harness.sizes import Size
from harness.stores import Stores
from harness.tables import Table
from soak import soak

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
WORDS = {
    "quick": "less of everything, in under three minutes",
    "tiny": "just enough to see that it works",
    "peers": "other queues, each in an environment of its own, installed from PyPI",
    "all": "the peers too",
    "soak": "a steady load for ten minutes, or --minutes, and nothing else",
    "report": "measure nothing; use what the last run found",
}


def main() -> None:
    options = arguments()
    if "soak" in options.words:
        with Stores() as stores:
            soak(stores, options.minutes, options.chart)
        return
    if "report" in options.words:
        results = load(options.results)
    else:
        results = measure(options.words, options.results)
    if options.markdown:
        write_into(options.markdown, results)
    if options.chart:
        options.chart.write_text(overview(results))


def arguments() -> argparse.Namespace:
    words = "; ".join(f"{word}: {meaning}" for word, meaning in WORDS.items())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help=f"{words}; or suites: {', '.join(SUITES)}")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="write the tables between the markers of a page")
    parser.add_argument("--chart", type=Path, metavar="SVG", help="draw the queues beside the raw limits, or the soak")
    parser.add_argument("--results", type=Path, metavar="JSON", default=LATEST, help="where to keep what was found")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak takes (default: 10)")
    options = parser.parse_args()
    if unknown := set(options.words) - {*WORDS, *SUITES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join([*WORDS, *SUITES])}")
    return options


def measure(words: Sequence[str], file: Path) -> Results:
    """Run what the words ask for; print what is found, and keep it after each suite."""
    size: Size = "tiny" if "tiny" in words else "quick" if "quick" in words else "full"
    suites = [suite for suite in (*SUITES, "peers") if suite in words]
    if not suites or "all" in words:
        suites = [*SUITES, *(["peers"] if "all" in words else [])]
    results = Results(now(), list(words), machine(), [])
    print("\n".join(f"{name}: {value}" for name, value in results.machine.items()) + "\n", flush=True)
    with Stores() as stores:
        for suite in suites:
            start = time.monotonic()
            for table in tables(suite, stores, size):
                print(f"{table}\n", flush=True)
                results.tables.append(table)
            print(f"({suite}: {time.monotonic() - start:.0f} s)\n", flush=True)
            results.date = now()
            results.machine |= stores.about()
            results.save(file)
    print("\n".join(f"{name}: {value}" for name, value in results.machine.items()), flush=True)
    return results


def tables(suite: str, stores: Stores, size: Size) -> Iterator[Table]:
    """Run one suite, or say which server it would need."""
    try:
        yield from importlib.import_module(f"suites.{suite}").tables(stores, size)
    except servers.ServerMissing as missing:
        print(f"{suite} is left out: {missing}\n", flush=True)


if __name__ == "__main__":
    main()
