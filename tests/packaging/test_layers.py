"""The import layers hold, and the tool that says so sees each way of breaking them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import check_layers

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources, to break."""
    for folder in check_layers.SOURCES.values():
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    return tmp_path


def broken(root: Path, module: str, line: str) -> list[str]:
    """Put an import on top of a module, and return what the tool says then."""
    package = module.partition(".")[0]
    path = root / check_layers.SOURCES[package] / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(path.read_text("utf-8").replace("annotations\n", f"annotations\n\n{line}\n", 1), "utf-8")
    return check_layers.check(root)


def test_the_layers_are_in_order() -> None:
    assert check_layers.check(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("lagoqueue.errors", "from lagoqueue.job import Job", "lagoqueue.job, which is above it"),
        ("lagoqueue.queue", "from lagoqueue.memory import MemoryQueue", "lagoqueue.memory, which is above it"),
        ("lagoqueue.monitor.stats", "import lagoqueue.queue", "lagoqueue.queue, which is above it"),
        ("lagoqueue.monitor.stats", "from lagoqueue import worker", "lagoqueue.worker, which is above it"),
        ("lagoqueue.worker", "import lagoqueue.testing", "lagoqueue.testing, which is above it"),
        ("lagoqueue.job", "import lagoqueue_sql", "imports lagoqueue_sql"),
        ("lagoqueue.job", "import yaml", "imports yaml"),
        ("lagoqueue_sql", "import lagoqueue_dashboard", "imports lagoqueue_dashboard"),
        ("lagoqueue_sql", "from lagoqueue.worker import Worker", "must not know"),
        ("lagoqueue_sql", "from lagoqueue import Worker", "must not know"),
        ("lagoqueue_dashboard", "import lagoqueue_sql", "imports lagoqueue_sql"),
        ("lagoqueue_dashboard", "from lagoqueue.testing import drain", "must not know"),
    ],
)
def test_a_broken_layer_is_reported(copy: Path, module: str, line: str, complaint: str) -> None:
    problems = broken(copy, module, line)
    assert any(complaint in problem for problem in problems), problems


def test_an_import_inside_a_function_counts(copy: Path) -> None:
    path = copy / "packages/core/src/lagoqueue/errors.py"
    path.write_text(path.read_text("utf-8") + "\n\ndef late() -> None:\n    import lagoqueue.worker\n", "utf-8")
    assert any("lagoqueue.worker, which is above it" in problem for problem in check_layers.check(copy))


def test_a_cython_import_counts(copy: Path) -> None:
    path = copy / "packages/core/src/lagoqueue/_heap.pyx"
    path.write_text(path.read_text("utf-8") + "\nfrom lagoqueue.worker import Worker\n", "utf-8")
    assert any("lagoqueue.worker, which is above it" in problem for problem in check_layers.check(copy))


def test_a_circle_within_one_row_is_reported(copy: Path) -> None:
    broken(copy, "lagoqueue.monitor.views", "import lagoqueue.monitor.stats")
    problems = broken(copy, "lagoqueue.monitor.stats", "import lagoqueue.monitor.views")
    assert any("in a circle" in problem for problem in problems), problems


def test_an_import_for_types_makes_no_circle_but_keeps_to_the_packages(copy: Path) -> None:
    guarded = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import {}"
    broken(copy, "lagoqueue.monitor.stats", "import lagoqueue.monitor.views")
    assert broken(copy, "lagoqueue.monitor.views", guarded.format("lagoqueue.monitor.stats")) == []
    problems = broken(copy, "lagoqueue_dashboard", guarded.format("lagoqueue_sql"))
    assert any("imports lagoqueue_sql" in problem for problem in problems), problems


def test_a_module_without_a_row_is_reported(copy: Path) -> None:
    (copy / "packages/core/src/lagoqueue/surprise.py").write_text('"""New."""\n')
    assert any("lagoqueue.surprise has no row" in problem for problem in check_layers.check(copy))
