"""Releasing one distribution of three, in a copy of their metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

import bump_version

PYPROJECT = '[project]\nname = "{name}"\nversion = "0.1.0" # a comment\ndependencies = [{dependencies}]\n'
CHANGELOG = "# Changelog\n\nWords.\n\n## Unreleased\n\n{entries}## 0.1.0 - 2026-01-01\n\n- First.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three packages at 0.1.0, of which core and sql have something to release."""
    for package in bump_version.PACKAGES.values():
        folder = tmp_path / "packages" / package.folder
        folder.mkdir(parents=True)
        needs = '"msgspec>=0.19"' if package.folder == "core" else '"lagoqueue-core>=0.1,<0.2", "other>=1"'
        entries = "" if package.folder == "dashboard" else "- Something new.\n\n"
        (folder / "pyproject.toml").write_text(PYPROJECT.format(name=package.distribution, dependencies=needs))
        (folder / "CHANGELOG.md").write_text(CHANGELOG.format(entries=entries))
    return tmp_path


def read(root: Path, folder: str, name: str) -> str:
    return (root / "packages" / folder / name).read_text("utf-8")


def everything(root: Path) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in root.rglob("*.*")}


def test_a_minor_version_of_core_moves_the_bounds_of_its_dependents(root: Path) -> None:
    assert bump_version.bump(root, "core", "minor", "2026-12-01") == (0, 2, 0)
    assert 'version = "0.2.0" # a comment' in read(root, "core", "pyproject.toml")
    assert "## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n- Something new.\n\n## 0.1.0" in read(
        root, "core", "CHANGELOG.md"
    )
    for folder in ("sqlqueue", "dashboard"):
        assert '["lagoqueue-core>=0.2,<0.3", "other>=1"]' in read(root, folder, "pyproject.toml")
        assert 'version = "0.1.0"' in read(root, folder, "pyproject.toml")
        unreleased = read(root, folder, "CHANGELOG.md").partition("## 0.1.0")[0]
        assert "- Needs lagoqueue-core >=0.2,<0.3." in unreleased


def test_a_patch_of_core_leaves_its_dependents_alone(root: Path) -> None:
    before = everything(root)
    assert bump_version.bump(root, "core", "patch", "2026-12-01") == (0, 1, 1)
    changed = {path.parent.name for path, content in everything(root).items() if before[path] != content}
    assert changed == {"core"}


def test_a_version_of_sql_changes_nothing_else(root: Path) -> None:
    before = everything(root)
    assert bump_version.bump(root, "sql", "1.0.0", "2026-12-01") == (1, 0, 0)
    changed = {path.parent.name for path, content in everything(root).items() if before[path] != content}
    assert changed == {"sqlqueue"}


@pytest.mark.parametrize("step", ["0.0.9", "0.1.0", "1.0", "next"])
def test_a_version_that_does_not_follow_is_refused(root: Path, step: str) -> None:
    before = everything(root)
    with pytest.raises(bump_version.BumpError, match=r"does not come after|a version is"):
        bump_version.bump(root, "core", step, "2026-12-01")
    assert everything(root) == before


def test_nothing_to_release_is_refused(root: Path) -> None:
    before = everything(root)
    with pytest.raises(bump_version.BumpError, match="nothing under `## Unreleased`"):
        bump_version.bump(root, "dashboard", "minor", "2026-12-01")
    assert everything(root) == before


def test_the_first_version_can_be_released_under_the_number_that_it_has(root: Path) -> None:
    log = root / "packages/core/CHANGELOG.md"
    log.write_text(log.read_text("utf-8").partition("## 0.1.0")[0])
    assert bump_version.bump(root, "core", "0.1.0", "2026-12-01") == (0, 1, 0)
    assert "## 0.1.0 - 2026-12-01\n\n- Something new." in read(root, "core", "CHANGELOG.md")


def test_a_tag_must_name_the_version_that_is_there(root: Path) -> None:
    assert bump_version.check_tag(root, "sql-v0.1.0") == "sql"
    with pytest.raises(bump_version.BumpError, match=r"is not of version 0\.1\.0"):
        bump_version.check_tag(root, "sql-v0.2.0")
    with pytest.raises(bump_version.BumpError, match="no package has tags"):
        bump_version.check_tag(root, "v0.1.0")


def test_the_command_says_how_to_go_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bump_version.main(["core", "minor"], root) == 0
    assert "git tag core-v0.2.0" in capsys.readouterr().out
    assert bump_version.main(["--check-tag", "core-v9.9.9"], root) == 1
    assert "core-v9.9.9" in capsys.readouterr().err


def test_every_real_package_can_be_released() -> None:
    for package in bump_version.PACKAGES.values():
        folder = bump_version.ROOT / "packages" / package.folder
        changelog = (folder / "CHANGELOG.md").read_text("utf-8")
        version = bump_version.version_in((folder / "pyproject.toml").read_text("utf-8"))
        assert bump_version.UNRELEASED.search(changelog), package.distribution
        assert bump_version.with_version((folder / "pyproject.toml").read_text("utf-8"), (*version[:2], 99)).count("99")
