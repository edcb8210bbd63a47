"""Every scenario on every database for which it means something; `python -m tests.faults` plays one again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import play

SEED = 1

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(
    ("name", "database"),
    [
        pytest.param(scenario.name, database, marks=[pytest.mark.slow] if scenario.slow else [])
        for scenario in SCENARIOS.values()
        for database in scenario.databases
    ],
)
def test_scenario(name: str, database: str, tmp_path: Path) -> None:
    play(SCENARIOS[name], database, SEED, tmp_path)
