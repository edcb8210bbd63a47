"""Play scenarios again: `python -m tests.faults NAME DATABASE --seed N`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.faults.checker import figures
from tests.faults.scenario import ALL
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import play, rules_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=sorted(SCENARIOS), help="of the scenario")
    parser.add_argument("database", choices=ALL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="with one seed after another")
    parser.add_argument("--kills", type=int, help="how many processes are killed, where that is the fault")
    arguments = parser.parse_args()
    scenario = SCENARIOS[arguments.name]
    if arguments.kills is not None:
        scenario = replace(scenario, load=replace(scenario.load, kills=arguments.kills))
    for seed in range(arguments.seed, arguments.seed + arguments.times):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                record = play(scenario, arguments.database, seed, Path(folder))
            except AssertionError as error:
                print(error)
                return 1
        print(
            f"{scenario.name} on {arguments.database}, seed {seed}: all as it should be, in {time.monotonic() - began:.0f} s"
        )
        print(figures(record, rules_of(scenario)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
