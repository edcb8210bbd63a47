"""What CI runs. `nox` runs all of it but the benchmarks, `nox -l` explains, `nox -s tests-3.11 -- -k name` picks.

Sessions install the distributions that the session `dist` built, never the source tree, so what is
tested is what a user gets. Arguments after `--` go to the tool that the session is named after.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
PACKAGES = ("core", "sqlqueue", "dashboard")
COMPILED = tuple(f"lagoqueue.{name}" for name in ("_heap", "_codec", "_cycle", "_line", "_store", "_rows"))
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

nox.needs_version = ">=2025.10.16"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "no"


def interpreters() -> list[str]:
    """Return the supported versions that are on this machine with their headers, nox's own first.

    Looks on PATH, and in pyenv, whose shims on PATH refuse to run versions that are not selected.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *map(str, sorted(pyenv.glob("*/bin")))])
    found = [version for version in SUPPORTED if version != OWN and any(map(can_build, candidates(version)))]
    return [OWN, *found]


def candidates(version: str) -> list[str]:
    """Return every `pythonX.Y` on PATH."""
    folders = os.environ["PATH"].split(os.pathsep)
    return [path for folder in folders if (path := shutil.which(f"python{version}", path=folder))]


def can_build(interpreter: str) -> bool:
    """Tell whether the interpreter runs and has the headers that an extension needs."""
    script = "import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    return subprocess.run([interpreter, "-c", script], capture_output=True, check=False).returncode == 0


PYTHONS = interpreters()
OLDEST = min(PYTHONS, key=lambda version: int(version.partition(".")[2]))


# --- What sessions install ------------------------------------------------------------------------


@cache
def sources_digest() -> str:
    """Return a digest of everything that goes into the distributions, and of the interpreter that builds."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted((ROOT / "packages").rglob("*")):
        built = path.suffix in {".so", ".pyd", ".c", ".pyc"} or any(part.endswith(".egg-info") for part in path.parts)
        if path.is_file() and not built and "build" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def built(session: nox.Session, *packages: str) -> list[str]:
    """Return the files to install: of core the wheel where it is for this interpreter, else the sdist."""
    tag = "cp" + str(session.python or OWN).replace(".", "")
    patterns = {
        "core": [f"lagoqueue_core-*-{tag}-{tag}-*.whl", "lagoqueue_core-*.tar.gz"],
        "sqlqueue": ["lagoqueue_sql-*.whl"],
        "dashboard": ["lagoqueue_dashboard-*.whl"],
    }
    files: list[str] = []
    for package in packages or PACKAGES:
        found = [path for pattern in patterns[package] for path in DIST.glob(pattern)]
        if not found:
            session.error(f"dist/ holds nothing of {package}: run nox -s dist")
        files.append(str(found[0]))
    return files


def group(*names: str) -> list[str]:
    """Return the requirements of dependency groups of the root pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def lowest_declared() -> list[str]:
    """Return each direct dependency of the three, pinned to the lowest version that it allows."""
    pins: list[str] = []
    for package in PACKAGES:
        for line in nox.project.load_toml(ROOT / "packages" / package / "pyproject.toml")["project"]["dependencies"]:
            requirement = Requirement(line)
            lowest = [each.version for each in requirement.specifier if each.operator == ">="]
            if not requirement.name.startswith("lagoqueue"):
                pins.append(f"{requirement.name}=={lowest[0]}")
    return pins


# --- Checks that read -----------------------------------------------------------------------------


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff (check and format), cython-lint, spelling and the import layers; changes nothing."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("cython-lint", "packages")
    session.run("codespell")
    session.run("python", "tools/check_layers.py")


@nox.session(requires=["dist"])
def typing(session: nox.Session) -> None:
    """Check types: mypy --strict, pyright, stubtest on the compiled modules, and the typing examples."""
    session.install(*built(session), *group("typing"))
    session.run("mypy", *session.posargs)
    session.run("pyright", *session.posargs)
    options = ["--mypy-config-file=pyproject.toml"]
    session.run("python", "-m", "mypy.stubtest", *options, *COMPILED)
    session.run("python", "tools/check_typing_examples.py")


# --- Building -------------------------------------------------------------------------------------


@nox.session(reuse_venv=True)
def dist(session: nox.Session) -> None:
    """Build the sdists, and wheels from those, into dist/; nothing to do while the sources are the same."""
    stamp = DIST / ".sources"
    if stamp.is_file() and stamp.read_text() == sources_digest() and not session.posargs:
        session.log("dist/ is of the present sources")
        return
    shutil.rmtree(DIST, ignore_errors=True)
    session.install("build[uv]" if session.venv_backend == "uv" else "build")
    installer = ["--installer=uv"] if session.venv_backend == "uv" else []
    for package in PACKAGES:
        session.run("python", "-m", "build", *installer, f"--outdir={DIST}", f"packages/{package}", silent=True)
    stamp.write_text(sources_digest())


@nox.session(requires=["dist"])
def build(session: nox.Session) -> None:
    """Check what dist/ holds, and run core's README and contract suite where only core's wheel is installed."""
    session.run("python", "tools/check_dists.py", str(DIST))
    session.install(*built(session, "core"))
    session.run("python", "tools/check_closure.py", "--exactly", "lagoqueue-core", "msgspec", "click")
    session.run("python", "tools/run_readme.py", "packages/core/README.md")
    session.run("python", "-m", "lagoqueue.testing", *session.posargs)


@nox.session(requires=["dist"])
def closure(session: nox.Session) -> None:
    """Core needs msgspec and click only, and nothing that the three need, transitively, is written in Rust."""
    session.install(*built(session, "core"))
    session.run("python", "tools/check_closure.py", "--exactly", "lagoqueue-core", "msgspec", "click")
    session.install(*built(session))
    session.run("python", "tools/check_closure.py")


@nox.session(requires=["dist"])
def security(session: nox.Session) -> None:
    """No advisory on what the three need, transitively; no code out of data; and what docs/security.md promises, without a server."""
    site = str(Path(session.virtualenv.location) / "closure")
    core, sql, board = built(session)
    session.install(f"--target={site}", core, f"{sql}[mysql,aiosqlite,asyncmy]", board)
    session.install(*group("security"))
    session.run("python", "tools/audit.py", site)
    session.run("python", "tools/check_data_only.py")
    session.install(*built(session), *group("test"))
    session.run("python", "-m", "pytest", "-m", "security and not slow and not server", "-n", "auto", *session.posargs)


CROWDED = str(2 * (os.cpu_count() or 1))
"""Processes for tests that wait for a server or for time to pass more than they compute."""
QUICK = ("-m", "not slow and not browser and not faults", "-n", "auto")
LOCAL = ("-m", "not slow and not server", "-n", "auto")
"""For what does not depend on a server: other interpreters, asyncio's debug mode."""
BROWSER = ("-m", "browser", "-n", "2", "--dist", "loadfile")
"""Each process has a Chromium, which is several processes itself."""
DRIVERS = "not slow and (not server or contract)"
"""For what depends on the drivers' versions: of the tests with a server, the contract suite."""
PRODUCT = ("tests/core", "tests/sqlqueue", f"--ignore={ROOT / 'tests/core/testing'}")
"""Without the tests of the repository and of the testing kit, whose outcome does not depend on versions."""


# --- Tests ----------------------------------------------------------------------------------------


@nox.session(python=PYTHONS, requires=["dist"])
def tests(session: nox.Session) -> None:
    """The suite on each CPython found here, in parallel; on nox's own only with servers, then a browser, faults, and the slow."""
    session.install(*built(session), *group("test"))
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    session.run("python", "-m", "pytest", *(QUICK if session.python == OWN else (*LOCAL, *PRODUCT)))
    if session.python == OWN:
        session.run("python", "-m", "pytest", *BROWSER)
        session.run("python", "-m", "pytest", "-m", "slow and contract", "-n", str(2 * int(CROWDED)))
        session.run("python", "-m", "pytest", "-m", "faults and not slow", "-n", CROWDED)
        session.run("python", "-m", "pytest", "-m", "slow and not contract and not faults", "-n", "2")


@nox.session(requires=["dist"])
def asyncdebug(session: nox.Session) -> None:
    """The quick tests under asyncio's debug mode and Python's development mode."""
    session.install(*built(session), *group("test"))
    session.run(
        "python", "-X", "dev", "-m", "pytest", *LOCAL, *PRODUCT, *session.posargs, env={"PYTHONASYNCIODEBUG": "1"}
    )


@nox.session(python=OLDEST, requires=["dist"])
def mindeps(session: nox.Session) -> None:
    """The quick tests with the lowest versions that the packages declare, on the oldest Python that they do."""
    if session.python != SUPPORTED[0]:
        session.skip(f"needs CPython {SUPPORTED[0]}, for which the lowest versions have wheels")
    session.install(*built(session), *group("test"), *lowest_declared())
    session.run("python", "-m", "pytest", "-m", DRIVERS, "-n", CROWDED, *PRODUCT, *session.posargs)


@nox.session(requires=["dist"])
def coverage(session: nox.Session) -> None:
    """Line coverage of the quick tests of core, and of sql on SQLite, Cython's lines included, from a traced build."""
    session.install(*built(session), *group("test"), "setuptools>=80", "Cython>=3.1")
    # Tracing runs Python code between two lines of Cython, so other threads get in where they never do otherwise.
    untraceable = ["-k", "not ids_are_unique_across_threads"]
    session.run("python", "tools/build_traced.py", *LOCAL[:2], *untraceable, *PRODUCT, *session.posargs)


@nox.session(requires=["dist"])
def docs(session: nox.Session) -> None:
    """The documentation, every reference resolved and every warning an error."""
    session.install(*built(session), *group("docs"))
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session(default=False, requires=["dist"])
def screenshots(session: nox.Session) -> None:
    """Photograph the dashboard for the documentation, into docs/screenshots."""
    session.install(*built(session), *group("test"))
    session.run("python", "tools/screenshots.py", "docs/screenshots")


@nox.session(default=False, requires=["dist"])
def bench(session: nox.Session) -> None:
    """The benchmarks, side by side and as ratios: nox -s bench -- quick; -- --help tells the rest."""
    session.install(*built(session), *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs, env={"PYTHONPATH": "tools"})


@nox.session(default=False, requires=["dist"])
def soak(session: nox.Session) -> None:
    """Ten minutes of load with faults all the while, on each database: nox -s soak -- --minutes 60; -- --help tells the rest."""
    session.install(*built(session), *group("test"))
    session.run("python", "-m", "tests.faults.soak", *session.posargs, env={"PYTHONPATH": "tools:benchmarks"})
