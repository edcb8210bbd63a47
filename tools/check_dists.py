"""Fail when a built sdist or wheel lacks what it must hold, or holds what it must not.

python tools/check_dists.py dist/
"""

from __future__ import annotations

import fnmatch
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Contents:
    """What the files of one kind hold: every pattern of `needs` at least once, none of `bars`."""

    files: str
    needs: tuple[str, ...]
    bars: tuple[str, ...]


COMPILED = ("_codec", "_cycle", "_heap", "_line", "_rows", "_store")
"""Modules of core; none is left out of a wheel, or of the sources that build one."""

NEVER = ("*/tests/*", "*.pyc", "*/__pycache__/*", "*.so.dSYM/*", "*.egg-link")

RULES = (
    Contents(
        "lagoqueue_core-*.whl",
        (
            "lagoqueue/__init__.py",
            "lagoqueue/py.typed",
            *(f"lagoqueue/{name}.pyi" for name in COMPILED),
            *(f"lagoqueue/{name}.*(.so|.pyd)" for name in COMPILED),
            "lagoqueue/testing/__main__.py",
            "*.dist-info/licenses/LICENSE",
        ),
        ("*.pyx", "*.pxd", "*.c", "*.cpp", "*.html", *NEVER),
    ),
    Contents(
        "lagoqueue_core-*.tar.gz",
        (
            *(f"*/src/lagoqueue/{name}.pyx" for name in COMPILED),
            *(f"*/src/lagoqueue/{name}.pyi" for name in COMPILED),
            *(f"*/src/lagoqueue/{name}.pxd" for name in ("_codec", "_fields", "_heap", "_line")),
            "*/src/lagoqueue/py.typed",
            "*/LICENSE",
            "*/README.md",
        ),
        ("*.c", "*.so", "*.pyd", *NEVER),
    ),
    Contents("lagoqueue_sql-*.whl", ("lagoqueue_sql/__init__.py", "lagoqueue_sql/py.typed", "*/LICENSE"), NEVER),
    Contents("lagoqueue_sql-*.tar.gz", ("*/src/lagoqueue_sql/py.typed", "*/LICENSE", "*/README.md"), NEVER),
    Contents(
        "lagoqueue_dashboard-*.whl",
        ("lagoqueue_dashboard/__init__.py", "lagoqueue_dashboard/py.typed", "*/LICENSE"),
        NEVER,
    ),
    Contents("lagoqueue_dashboard-*.tar.gz", ("*/src/lagoqueue_dashboard/py.typed", "*/LICENSE", "*/README.md"), NEVER),
)


def check(folder: Path) -> list[str]:
    """Return one line for each fault of the files in `folder`."""
    problems: list[str] = []
    for rule in RULES:
        found = sorted(folder.glob(rule.files))
        if not found:
            problems.append(f"{folder} holds no {rule.files}")
        for path in found:
            problems += [f"{path.name}: {problem}" for problem in check_names(names_in(path), rule)]
            if path.suffix == ".whl" and "lagoqueue_core" in path.name and "none-any" in path.name:
                problems.append(f"{path.name}: a wheel with compiled modules cannot be for any platform")
    return problems


def check_names(names: list[str], rule: Contents) -> list[str]:
    """Return what is missing from, and what is too much in, a list of file names."""
    missing = [f"holds no {pattern}" for pattern in rule.needs if not any(matches(name, pattern) for name in names)]
    barred = [f"holds {name}" for name in names for pattern in rule.bars if matches(name, pattern)]
    return missing + barred


def matches(name: str, pattern: str) -> bool:
    """Match as a shell does, with `(.so|.pyd)` at the end for either suffix."""
    stem, bracket, suffixes = pattern.partition("(")
    if not bracket:
        return fnmatch.fnmatch(name, pattern)
    return any(fnmatch.fnmatch(name, stem + suffix) for suffix in suffixes.rstrip(")").split("|"))


def names_in(path: Path) -> list[str]:
    """Return the names of the files in a wheel or an sdist."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.namelist()
    with tarfile.open(path) as sdist:
        return sdist.getnames()


def main() -> int:
    """Print the faults; 1 when there are any."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    problems = check(folder)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{folder}: {len(RULES)} kinds of files hold what they must, and nothing else")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
