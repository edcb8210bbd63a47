"""How much the processes of a scenario may log while something is broken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.stage import Stage


@contextmanager
def quiet(stage: Stage, *, lines_a_second: float) -> Iterator[None]:
    """See that each process logs no more than so many lines a second meanwhile, and no traceback."""
    before = {process.pid: len(process.log.splitlines()) for process in [*stage.workers, *stage.producers]}
    began = time.monotonic()
    yield
    most = lines_a_second * (time.monotonic() - began + 1)
    for process in [*stage.workers, *stage.producers]:
        lines = process.log.splitlines()[before.get(process.pid, 0) :]
        text = "\n".join(lines[:30])
        assert len(lines) <= most, (
            f"{process.role} {process.pid} logged {len(lines)} lines, of {most:.0f} allowed:\n{text}"
        )
        assert "Traceback" not in process.log, (
            f"{process.role} {process.pid} logged a traceback:\n{process.log[-3000:]}"
        )
