"""`FilterForm`: what a person typed to find failed jobs, checked, and back again for links and forms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from lagoqueue.errors import InvalidValue
from lagoqueue.monitor import FailedFilter

WITHIN = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
"""How far back `within` looks."""


class FilterForm(msgspec.Struct, frozen=True):
    """A filter as the form shows it; "" where a field is empty.

    Attributes:
        queue: A label.
        name: A job's name.
        kind: The kind of an error.
        text: Part of an error.
        within: "hour", "day", "week", or "" for any time.
        id: An id.
    """

    queue: str = ""
    name: str = ""
    kind: str = ""
    text: str = ""
    within: str = ""
    id: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> FilterForm:
        """Return the filter of a query or a form.

        Raises:
            InvalidValue: A value that applies to nothing that a store can hold; the message names it.
        """
        form = cls(**{field: given.get(field, "") for field in cls.__struct_fields__})
        # Only these are typed; the others come from links, and a name may have spaces around it.
        form = msgspec.structs.replace(form, text=form.text.strip(), id=form.id.strip())
        if form.within and form.within not in WITHIN:
            raise InvalidValue(f'within must be "hour", "day" or "week", or left out, not {form.within[:50]!r}')
        form.meant()
        return form

    @property
    def query(self) -> dict[str, str]:
        """The fields that are filled in."""
        return {field: value for field in self.__struct_fields__ if (value := getattr(self, field))}

    def meant(self, until: datetime | None = None) -> FailedFilter:
        """Return which failed jobs are meant now.

        Args:
            until: Only what failed before this instant.

        Raises:
            InvalidValue: A value that applies to nothing that a store can hold.
        """
        since = None
        if self.within:
            # Whole minutes, so that all who look within one share what was read.
            since = datetime.now(UTC).replace(second=0, microsecond=0) - WITHIN[self.within]
        return FailedFilter(
            queue=self.queue or None,
            name=self.name or None,
            kind=self.kind or None,
            text=self.text or None,
            since=since,
            until=until,
            ids=(self.id,) if self.id else None,
        )
