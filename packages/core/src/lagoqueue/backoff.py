"""How long a job waits before its next attempt."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from lagoqueue._time import Seconds, to_seconds
from lagoqueue.errors import InvalidValue
from lagoqueue.job import Job

Policy = Callable[[Job], Seconds]
"""From the job that failed, its attempts counted, to seconds."""

Backoff = Seconds | Policy
"""A fixed wait, or a policy."""

_log = logging.getLogger("lagoqueue.backoff")


def exponential(base: Seconds = 5.0, cap: Seconds = 3600.0, jitter: float = 0.2) -> Policy:
    """Return a policy that waits `base` after the first attempt and doubles up to `cap`.

    Args:
        base: Seconds or timedelta before the second attempt.
        cap: The longest wait, before jitter.
        jitter: Up to this share is added at random, so that jobs that failed together do not come
            back together. Added, never taken off: a wait is not cut short.

    Raises:
        InvalidValue: A duration is not one, or jitter is not from 0 to 1.
    """
    first = to_seconds(base, "base")
    longest = to_seconds(cap, "cap")
    if not isinstance(jitter, (int, float)) or not 0 <= jitter <= 1:
        raise InvalidValue(f"jitter must be from 0 to 1, not {jitter!r}")

    def policy(job: Job) -> float:
        doublings = min(max(job.attempts - 1, 0), 60)  # 2**60 s passes any cap; more would overflow
        wait = min(first * 2.0**doublings, longest)
        return wait * (1 + random.random() * jitter)  # noqa: S311 - spreads load, keeps no secret

    return policy


def to_policy(backoff: Backoff) -> Policy:
    """Return a policy from what a worker or handler was given.

    Raises:
        InvalidValue: Neither a duration nor callable.
    """
    if callable(backoff):
        return backoff
    seconds = to_seconds(backoff, "backoff")
    return lambda job: seconds


_fallback = exponential()


def wait_after(policy: Policy, job: Job) -> float:
    """Ask a policy, and fall back to the default one when it raises or gives no sane duration."""
    try:
        return to_seconds(policy(job), "the backoff's result")
    except Exception:
        _log.exception("the backoff of job %s (%s) failed; the default one is used", job.id, job.name)
        return to_seconds(_fallback(job), "backoff")
