"""`FailedFilter`: which failed jobs are meant, the same for a search, a count and an action on many."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from lagoqueue._time import to_utc
from lagoqueue.errors import InvalidJob, InvalidValue
from lagoqueue.failure import MAX_ERROR
from lagoqueue.job import MAX_ID, MAX_LABEL, MAX_NAME, check_text
from lagoqueue.monitor.paging import MAX_ROWS

if TYPE_CHECKING:
    from lagoqueue.monitor.failed import FailedJob


class FailedFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which failed jobs are meant: those to which all that is given applies. Nothing given means all.

    Attributes:
        queue: The label that they failed under.
        name: Their job's name.
        kind: The kind of their error.
        text: Part of their error, in upper and lower case as it stands there.
        since: Failed at this instant or later; aware.
        until: Failed before this instant; aware.
        ids: One to 1,000 ids.

    Raises:
        InvalidValue: A value that applies to nothing that a store can hold, or no ids at all; the
            message names it.
    """

    queue: str | None = None
    name: str | None = None
    kind: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check(self.queue, "queue", MAX_LABEL)
        _check(self.name, "name", MAX_NAME)
        _check(self.kind, "kind", MAX_ERROR)
        _check(self.text, "text", MAX_ERROR)
        for field in ("since", "until"):
            instant = getattr(self, field)
            if instant is not None:
                msgspec.structs.force_setattr(self, field, to_utc(instant, field))
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidValue(f"since must be before until, but {self.since} is not before {self.until}")
        if self.ids is not None:
            msgspec.structs.force_setattr(self, "ids", _checked_ids(self.ids))

    def matches(self, failed: FailedJob) -> bool:
        """Tell whether a failed job is meant."""
        return (
            (self.queue is None or failed.queue == self.queue)
            and (self.name is None or failed.job.name == self.name)
            and (self.kind is None or failed.kind == self.kind)
            and (self.text is None or self.text in failed.error)
            and (self.since is None or failed.failed_at >= self.since)
            and (self.until is None or failed.failed_at < self.until)
            and (self.ids is None or failed.id in self.ids)
        )


def _check(value: str | None, field: str, longest: int) -> None:
    if value is not None:
        _check_text(value, f"a filter's {field}", longest)


def _check_text(value: str, what: str, longest: int) -> None:
    try:
        check_text(value, what, longest)
    except InvalidJob as error:
        raise InvalidValue(str(error)) from None


def _checked_ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids without repetition: a selection of none must not come to mean all."""
    if not isinstance(ids, (tuple, list)):  # a text is a sequence of texts, too
        raise InvalidValue(f"ids must be a tuple of ids, not {ids!r}")
    if not 0 < len(ids) <= MAX_ROWS:
        raise InvalidValue(f"ids must name 1 to {MAX_ROWS:,} jobs, not {len(ids):,}; leave ids out to mean any")
    for job_id in ids:
        _check_text(job_id, "an id", MAX_ID)
    return tuple(dict.fromkeys(ids))
