"""Build lagoqueue with its Cython lines traced, run tests against that, and report line coverage.

    python tools/build_traced.py [PYTEST ARGUMENTS]

The build lies in build/traced, apart from everything that is installed: tracing makes the compiled
modules several times slower. Needs Cython, setuptools, coverage and what the tests need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRACED = ROOT / "build" / "traced"
SOURCES = ("packages/core/src", "packages/sqlqueue/src", "packages/dashboard/src")

SETUP = """\
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# Tracing runs Python code between two lines, where other threads get in and what is one step without it is not.
# The memory queue's store relies on its steps, and would crash.
ONE_STEP = {"_line", "_store"}

traced, plain = [], []
for path in sorted(Path("lagoqueue").glob("*.pyx")):
    name = f"lagoqueue.{path.stem}"
    if path.stem in ONE_STEP:
        plain.append(Extension(name, [str(path)]))
    else:
        traced.append(Extension(name, [str(path)], define_macros=[("CYTHON_TRACE", "1")], extra_compile_args=["-O0"]))
modules = cythonize(traced, compiler_directives={"linetrace": True}) + cythonize(plain)
setup(name="traced", packages=[], ext_modules=modules)
"""


def build() -> None:
    """Copy the sources of the three packages into one folder, and compile in place there."""
    shutil.rmtree(TRACED, ignore_errors=True)
    for source in SOURCES:
        shutil.copytree(
            ROOT / source,
            TRACED,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info"),
        )
    (TRACED / "setup.py").write_text(SETUP)
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=TRACED, check=True)


def run(arguments: list[str]) -> int:
    """Run the tests on the build under coverage, and print the report; 1 when a test failed."""
    # Paths in Cython's line tables are relative to the folder of the build, so coverage runs there.
    environment = {
        **os.environ,
        "PYTHONPATH": str(TRACED),
        "COVERAGE_FILE": str(ROOT / ".coverage"),
        "COVERAGE_CORE": "ctrace",
    }
    coverage = [sys.executable, "-m", "coverage"]
    settings = f"--rcfile={ROOT / 'pyproject.toml'}"
    paths = [str(ROOT / each) for each in arguments if (ROOT / each.partition("::")[0]).exists()]
    options = [each for each in arguments if str(ROOT / each) not in paths]
    pytest = ["-m", "pytest", f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), *options]
    pytest += paths or [str(ROOT / "tests")]
    tests = subprocess.run([*coverage, "run", settings, *pytest], cwd=TRACED, env=environment, check=False)
    report = subprocess.run([*coverage, "report", settings], cwd=TRACED, env=environment, check=False)
    return 1 if tests.returncode or report.returncode else 0


if __name__ == "__main__":
    build()
    sys.exit(run(sys.argv[1:]))
