"""What the three distributions say about themselves agrees with each other and with the sources."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import bump_version
import check_layers

PACKAGES = Path(__file__).parents[2] / "packages"
FOLDERS = {"core": "lagoqueue", "sqlqueue": "lagoqueue_sql", "dashboard": "lagoqueue_dashboard"}

folders = pytest.mark.parametrize("folder", FOLDERS)


def project(folder: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((PACKAGES / folder / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def requirements(folder: str) -> dict[str, SpecifierSet]:
    return {each.name.lower(): each.specifier for each in map(Requirement, project(folder)["dependencies"])}


@pytest.mark.parametrize("folder", ["sqlqueue", "dashboard"])
def test_the_bounds_on_core_admit_this_core_and_not_the_next_minor(folder: str) -> None:
    core = project("core")["version"]
    specifier = requirements(folder)["lagoqueue-core"]
    assert specifier == SpecifierSet(bump_version.bounds(bump_version.parse(core)))
    assert core in specifier
    major, minor, _ = bump_version.parse(core)
    assert f"{major}.{minor + 1}.0" not in specifier or major > 0


@folders
def test_every_dependency_has_a_lowest_version(folder: str) -> None:
    for name, specifier in requirements(folder).items():
        assert any(each.operator == ">=" for each in specifier), name


@folders
def test_what_is_imported_is_what_is_declared(folder: str) -> None:
    distributions = {"lagoqueue": "lagoqueue-core"}
    allowed = {distributions.get(name, name) for name in check_layers.OUTSIDE[FOLDERS[folder]]}
    assert allowed == set(requirements(folder))


def test_core_depends_on_msgspec_and_click_only() -> None:
    assert set(requirements("core")) == {"msgspec", "click"}


@folders
def test_licence_python_and_typing_are_declared(folder: str) -> None:
    table = project(folder)
    assert table["license"] == "MIT"
    assert table["license-files"] == ["LICENSE"]
    assert (PACKAGES / folder / "LICENSE").read_text("utf-8") == (PACKAGES.parent / "LICENSE").read_text("utf-8")
    assert table["requires-python"] == ">=3.11"
    assert "Typing :: Typed" in table["classifiers"]
    assert (PACKAGES / folder / "src" / FOLDERS[folder] / "py.typed").is_file()


@folders
def test_the_changelog_has_a_place_for_what_comes_next(folder: str) -> None:
    changelog = (PACKAGES / folder / "CHANGELOG.md").read_text("utf-8")
    headings = [line for line in changelog.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Unreleased"


@folders
def test_the_readme_says_what_to_install_and_what_to_import(folder: str) -> None:
    readme = (PACKAGES / folder / "README.md").read_text("utf-8")
    assert project(folder)["name"] in readme
    assert f"import {FOLDERS[folder]}" in readme or f"from {FOLDERS[folder]} import" in readme
