"""Processes whose wall clock is wrong, and can be set while they run; their monotonic clock is right.

Debian's libfaketime would do for servers, but under its version 0.9.10 Python's `time.sleep` fails.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

import servers
from run_folder import locked, run_folder

ZONE = "America/New_York"
"""Where those processes are: a place whose local time changes in spring and in autumn."""

SOURCE = Path(__file__).with_suffix(".c")


class WrongClock:
    """The clock of all processes that are started with its `environment`.

    Args:
        file: Where they read how far it is off. They must be able to.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(bytes(8))

    @property
    def environment(self) -> Mapping[str, str]:
        preload = " ".join(filter(None, [str(_library()), os.environ.get("LD_PRELOAD")]))
        return {"LD_PRELOAD": preload, "WRONG_CLOCK": str(self._file), "TZ": ZONE}

    def set(self, seconds: float) -> None:
        """Set it so far ahead of the right one, at once."""
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", round(seconds * 1e9)))

    def set_to(self, instant: datetime) -> None:
        """Set it to an instant, from which it goes on."""
        self.set(instant.timestamp() - time.time())


@cache
def _library() -> Path:
    library = run_folder() / "wrong_clock.so"
    with locked(library.with_suffix(".lock")):
        if not library.exists():
            compiler = shutil.which("cc")
            if compiler is None:
                raise servers.missing(
                    "there is no C compiler to make a wrong clock with: apt-get install gcc libc6-dev"
                )
            new = library.with_suffix(".new")
            options = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(new), str(SOURCE), "-ldl", "-pthread"]
            subprocess.run([compiler, *options], check=True)
            new.rename(library)
    return library
