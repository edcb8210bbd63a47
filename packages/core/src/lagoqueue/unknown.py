"""Jobs whose name no handler here knows: a rolling deploy, or a mistake. Time tells them apart."""

from __future__ import annotations

import time

from lagoqueue.job import Job

_MOST = 10_000
_SHORTEST = 1.0
_LONGEST = 60.0


class UnknownNames:
    """Remembers when this worker first met each job that it has no handler for.

    Such a job is released without spending an attempt, for as long as it has been unknown so far
    but between 1 and 60 seconds, so that a worker of the newer version can take it.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._first_seen: dict[str, float] = {}

    def wait_for(self, job: Job) -> float | None:
        """Return for how long to release the job, or None when its grace period is over."""
        now = time.monotonic()
        since = now - self._first_seen.setdefault(job.id, now)
        if since >= self._grace:
            del self._first_seen[job.id]
            return None
        if len(self._first_seen) > _MOST:  # the oldest is known best to be waiting elsewhere by now
            del self._first_seen[next(iter(self._first_seen))]
        return min(max(since, _SHORTEST), _LONGEST)
