"""The page on reliability tells what there is: each fault of the plan, each scenario, and no proof that does not exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.scenario import ALL
from tests.faults.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = 43
"""How many the plan has."""


class Row(NamedTuple):
    """A fault: what each database has to do with it, and the names of its proofs."""

    number: int
    cells: dict[str, str]
    proofs: list[str]

    @property
    def scenarios(self) -> list[str]:
        return [name for name in self.proofs if "::" not in name]

    @property
    def tests(self) -> list[str]:
        return [name for name in self.proofs if "::" in name]


def rows() -> list[Row]:
    section = PAGE.read_text().partition("\n## The faults\n")[2].partition("\n## ")[0]
    found: list[Row] = []
    for line in section.splitlines():
        if re.match(r"\| \d+ \|", line):
            number, _, memory, sqlite, postgresql, mariadb, proofs, _ = (cell.strip() for cell in line.split("|")[1:-1])
            cells = {"memory": memory, "sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}
            found.append(Row(int(number), cells, re.findall(r"`([^`]+)`", proofs)))
    return found


@cache
def sources() -> dict[Path, str]:
    folders = (ROOT / "tests", ROOT / "packages" / "core" / "src" / "lagoqueue" / "testing")
    return {path: path.read_text() for folder in folders for path in folder.rglob("*.py")}


def test_no_fault_is_left_out() -> None:
    assert [row.number for row in rows()] == list(range(1, FAULTS + 1))


def test_the_page_says_what_is_not_proved_yet() -> None:
    assert [row.number for row in rows() if not row.proofs] == []


def test_every_scenario_is_on_the_page_and_the_page_has_no_other() -> None:
    assert {name for row in rows() for name in row.scenarios} == set(SCENARIOS)


@pytest.mark.parametrize("name", sorted({name for row in rows() for name in row.tests}))
def test_every_test_on_the_page_exists(name: str) -> None:
    file, _, function = name.partition("::")
    texts = [text for path, text in sources().items() if path.as_posix().endswith(f"/{file}")]
    assert len(texts) == 1, f"there are {len(texts)} files {file}"
    assert re.search(rf"^ *(async )?def {function}\(", texts[0], re.MULTILINE), f"{file} has no {function}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row.number))
def test_each_database_has_a_proof_or_a_reason(row: Row) -> None:
    played_on = {database for name in row.scenarios for database in SCENARIOS[name].databases}
    for database, cell in row.cells.items():
        assert re.match("yes|n/a: ." if row.proofs else "not yet|n/a: .", cell), cell
        if database in ALL and not row.tests:
            assert (database in played_on) == cell.startswith("yes"), f"it says {cell!r} of {database}"
        elif database in played_on:
            assert cell.startswith("yes"), f"there is a scenario on {database}"
        elif cell.startswith("yes"):
            assert row.tests, f"nothing proves it of {database}"
