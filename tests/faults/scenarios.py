"""All scenarios, by name."""

from __future__ import annotations

from tests.faults import (
    clock_faults,
    data_faults,
    handler_faults,
    many_kills,
    network_faults,
    process_faults,
    server_faults,
    storage_faults,
)
from tests.faults.scenario import Scenario

GROUPS = (
    process_faults,
    handler_faults,
    network_faults,
    server_faults,
    storage_faults,
    clock_faults,
    data_faults,
    many_kills,
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for group in GROUPS for scenario in group.SCENARIOS}

assert len(SCENARIOS) == sum(len(group.SCENARIOS) for group in GROUPS), "two scenarios have one name"
