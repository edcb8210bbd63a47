"""Play scenarios again: `python -m tests.faults NAME DATABASE --seed N`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.scenario import ALL
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=sorted(SCENARIOS), help="of the scenario")
    parser.add_argument("database", choices=ALL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="with one seed after another")
    arguments = parser.parse_args()
    for seed in range(arguments.seed, arguments.seed + arguments.times):
        with tempfile.TemporaryDirectory() as folder:
            try:
                record = play(SCENARIOS[arguments.name], arguments.database, seed, Path(folder))
            except AssertionError as error:
                print(error)
                return 1
        print(
            f"{arguments.name} on {arguments.database}, seed {seed}: {len(record.events)} events, all as it should be"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
