"""The progress bar, and the summary at the end."""

from __future__ import annotations

import shutil
import sys
import time

_PLAIN_INTERVAL = 2.0


class Progress:
    """A bar that redraws itself on a terminal, and a line now and then elsewhere."""

    def __init__(self, total: int, already: int) -> None:
        self._total = total
        self._already = already
        self._started = time.monotonic()
        self._printed = self._started - _PLAIN_INTERVAL
        self._terminal = sys.stdout.isatty()
        self._full, self._empty = "█░" if "utf" in sys.stdout.encoding.lower() else "#."

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started

    def show(self, done: int, failed: int) -> None:
        """Show how far it is."""
        rate = (done + failed - self._already) / max(self.seconds, 0.001)
        text = f"{done + failed:,}/{self._total:,} files  {rate:,.0f} jobs/s  {failed} failed"
        if self._terminal:
            width = max(10, min(40, shutil.get_terminal_size().columns - len(text) - 4))
            full = width * (done + failed) // max(self._total, 1)
            print(f"\r\033[K{self._full * full}{self._empty * (width - full)}  {text}", end="", flush=True)
        elif time.monotonic() - self._printed >= _PLAIN_INTERVAL:
            self._printed = time.monotonic()
            print(text, flush=True)

    def end(self) -> None:
        """Leave the bar's line."""
        if self._terminal:
            print()
