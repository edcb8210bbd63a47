"""What an id tells."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def dispatched_at(job_id: str) -> datetime | None:
    """Return when the id was made if it is a UUIDv7 (RFC 9562, section 5.7), as those are that lagoqueue makes."""
    try:
        found = uuid.UUID(job_id)
    except ValueError:
        return None
    if found.variant != uuid.RFC_4122 or found.version != 7:
        return None
    try:
        return datetime.fromtimestamp((found.int >> 80) / 1000, UTC)
    except (OverflowError, ValueError):  # one that somebody else made, of the year 10000 or later
        return None
