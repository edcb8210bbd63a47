"""A module that nobody imports: names of jobs point at it, and a test sees that it was not touched."""

from __future__ import annotations

import os
from pathlib import Path


def explode(*_: object) -> None:
    """Leave the mark that the tests look for."""
    Path(os.environ["LANDMINE"]).touch()


explode()
