"""The tool that looks into built wheels and sdists sees what is missing and what is too much."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import check_dists

CORE_WHEEL = "lagoqueue_core-0.1.0-cp311-cp311-linux_x86_64.whl"
COMPILED = ("_codec", "_cycle", "_heap", "_line", "_rows", "_store")
GOOD = {
    CORE_WHEEL: [
        "lagoqueue/__init__.py",
        "lagoqueue/py.typed",
        *(f"lagoqueue/{name}.pyi" for name in COMPILED),
        *(f"lagoqueue/{name}.cpython-311-x86_64-linux-gnu.so" for name in COMPILED),
        "lagoqueue/testing/__main__.py",
        "lagoqueue_core-0.1.0.dist-info/licenses/LICENSE",
    ],
    "lagoqueue_core-0.1.0.tar.gz": [
        *(f"c/src/lagoqueue/{name}.pyx" for name in COMPILED),
        *(f"c/src/lagoqueue/{name}.pyi" for name in COMPILED),
        *(f"c/src/lagoqueue/{name}.pxd" for name in ("_codec", "_fields", "_heap", "_line")),
        "c/src/lagoqueue/py.typed",
        "c/LICENSE",
        "c/README.md",
    ],
    "lagoqueue_sql-0.1.0-py3-none-any.whl": ["lagoqueue_sql/__init__.py", "lagoqueue_sql/py.typed", "x/LICENSE"],
    "lagoqueue_sql-0.1.0.tar.gz": ["s/src/lagoqueue_sql/py.typed", "s/LICENSE", "s/README.md"],
    "lagoqueue_dashboard-0.1.0-py3-none-any.whl": [
        "lagoqueue_dashboard/__init__.py",
        "lagoqueue_dashboard/py.typed",
        "x/LICENSE",
    ],
    "lagoqueue_dashboard-0.1.0.tar.gz": ["d/src/lagoqueue_dashboard/py.typed", "d/LICENSE", "d/README.md"],
}


def write(folder: Path, files: dict[str, list[str]]) -> Path:
    for name, members in files.items():
        if name.endswith(".whl"):
            with zipfile.ZipFile(folder / name, "w") as wheel:
                for member in members:
                    wheel.writestr(member, "")
        else:
            with tarfile.open(folder / name, "w:gz") as sdist:
                for member in members:
                    sdist.addfile(tarfile.TarInfo(member), io.BytesIO())
    return folder


def test_what_holds_everything_is_accepted(tmp_path: Path) -> None:
    assert check_dists.check(write(tmp_path, GOOD)) == []


@pytest.mark.parametrize("name", GOOD)
def test_a_distribution_that_was_not_built_is_reported(tmp_path: Path, name: str) -> None:
    write(tmp_path, {each: members for each, members in GOOD.items() if each != name})
    assert len(check_dists.check(tmp_path)) == 1


@pytest.mark.parametrize("member", GOOD[CORE_WHEEL])
def test_each_part_of_cores_wheel_is_missed(tmp_path: Path, member: str) -> None:
    write(tmp_path, {**GOOD, CORE_WHEEL: [each for each in GOOD[CORE_WHEEL] if each != member]})
    assert len(check_dists.check(tmp_path)) == 1


@pytest.mark.parametrize("member", ["lagoqueue/_heap.pyx", "lagoqueue/_heap.c", "lagoqueue/__pycache__/job.pyc"])
def test_sources_and_rubbish_in_cores_wheel_are_reported(tmp_path: Path, member: str) -> None:
    write(tmp_path, {**GOOD, CORE_WHEEL: [*GOOD[CORE_WHEEL], member]})
    assert f"{CORE_WHEEL}: holds {member}" in check_dists.check(tmp_path)


def test_a_compiled_file_in_the_sdist_is_reported(tmp_path: Path) -> None:
    sdist = "lagoqueue_core-0.1.0.tar.gz"
    write(tmp_path, {**GOOD, sdist: [*GOOD[sdist], "c/src/lagoqueue/_heap.c"]})
    assert check_dists.check(tmp_path) == [f"{sdist}: holds c/src/lagoqueue/_heap.c"]


def test_a_wheel_of_core_for_any_platform_is_reported(tmp_path: Path) -> None:
    files = {name: members for name, members in GOOD.items() if name != CORE_WHEEL}
    write(tmp_path, {**files, "lagoqueue_core-0.1.0-py3-none-any.whl": GOOD[CORE_WHEEL]})
    assert any("for any platform" in problem for problem in check_dists.check(tmp_path))
