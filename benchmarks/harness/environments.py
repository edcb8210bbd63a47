"""An environment of its own for each script that says in its first lines what it needs (PEP 723)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from harness.processes import ROOT

CACHE = ROOT.parent / ".nox" / "peers"
"""Where they are kept: they are made anew when a script needs something else."""


class NoEnvironment(Exception):
    """It could not be made; the message says why."""


def dependencies(script: Path) -> list[str]:
    """Return the requirements in a script's first lines."""
    lines = script.read_text().splitlines()
    start = lines.index("# /// script") + 1
    block = [line.removeprefix("#").removeprefix(" ") for line in lines[start : lines.index("# ///", start)]]
    found: list[str] = tomllib.loads("\n".join(block)).get("dependencies", [])
    return found


def python_for(script: Path) -> str:
    """Return the interpreter of a script's environment, which is made if it is not there.

    Raises:
        NoEnvironment: Something could not be installed.
    """
    needed = dependencies(script)
    digest = hashlib.sha256("\n".join([sys.version, *needed]).encode()).hexdigest()[:12]
    folder = CACHE / f"{script.stem}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", *(["--without-pip"] if _uv() else []), str(folder))
        install = [_uv(), "pip", "install", "--python", str(python)] if _uv() else [str(python), "-m", "pip", "install"]
        _run(*install, "--quiet", *needed)
        (folder / "complete").touch()
    return str(python)


def _uv() -> str:
    """Return uv, on the path or beside this interpreter, or ""."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)) or ""


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        raise NoEnvironment((error.stderr or error.stdout).strip()[-300:]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEnvironment(str(error)) from None
