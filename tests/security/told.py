"""All that errors, logs and warnings tell, as one text in which a test can look for what must not be there."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

PATIENCE = 30.0
"""Seconds to wait for a record."""


def told_by(error: BaseException) -> str:
    """Return all that can be read off an error and the errors behind it, suppressed ones too, and off their frames."""
    return "\n".join(_told(error, set()))


def _told(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ()))
    yield from traceback.format_exception(error)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/tests/" not in frame.f_code.co_filename:  # which know the secret
            yield from map(repr, frame.f_locals.values())
    yield from _told(error.__cause__, seen)
    yield from _told(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _told(each, seen)


class Log(logging.Handler):
    """Keeps what every logger says from level DEBUG on, formatted as a log would have it, and warnings."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._records: list[logging.LogRecord] = []
        self._texts: list[str] = []
        self._came = threading.Condition()

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        logging.captureWarnings(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.captureWarnings(False)
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        texts = [self.format(record), repr(record.args), repr(vars(record))]
        if record.exc_info is not None and record.exc_info[1] is not None:
            texts.append(told_by(record.exc_info[1]))
        with self._came:
            self._records.append(record)
            self._texts += texts
            self._came.notify_all()

    @property
    def text(self) -> str:
        """All of it."""
        with self._came:
            return "\n".join(self._texts)

    def wait_for(self, which: Callable[[logging.LogRecord], bool]) -> None:
        """Return once there has been such a record."""
        deadline = time.monotonic() + PATIENCE
        with self._came:
            while not any(map(which, self._records)):
                assert self._came.wait(deadline - time.monotonic()), "there was no such record"
