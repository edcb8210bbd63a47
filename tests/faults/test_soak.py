"""A soak of twenty seconds, and that one whose figures grow would fail."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.faults.sampling import ROOM, Sample, growing, quarters
from tests.faults.scenario import ALL
from tests.faults.soak import Soak

FLAT = Sample(
    at=0.0,
    rate=300.0,
    backlog=50.0,
    oldest=0.1,
    worker_mb=60.0,
    producer_mb=60.0,
    worker_files=15.0,
    producer_files=15.0,
    worker_threads=20.0,
    sessions=10.0,
)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("database", ALL)
def test_twenty_seconds(database: str, tmp_path: Path) -> None:
    soak = Soak(database, 20.0)
    soak.play(1, tmp_path)
    print(soak.table())
    assert sum(soak.hits.values()) >= 3
    assert max(sample.worker_mb for sample in soak.samples) > 20
    assert "<svg" in soak.chart()


@pytest.mark.parametrize("name", ROOM)
def test_what_grows_all_the_time_is_seen(name: str) -> None:
    samples = [grown(name, 0.01 * number) for number in range(120)]
    (said,) = growing(samples)
    assert said.startswith(name)


@pytest.mark.parametrize("name", ROOM)
def test_what_grows_at_first_or_for_a_moment_is_flat(name: str) -> None:
    samples = [grown(name, min(0.05 * number, 1.0)) for number in range(120)]
    samples[100:110] = [grown(name, 5.0)] * 10
    assert growing(samples) == []


def test_a_figure_that_cannot_be_seen_for_a_while_is_left_out() -> None:
    unseen = msgspec.structs.replace(FLAT, sessions=None)
    assert quarters([FLAT, unseen, FLAT, unseen, unseen, unseen, FLAT, FLAT], "sessions") == [10.0, 10.0, 0.0, 10.0]


def grown(name: str, share: float) -> Sample:
    return msgspec.structs.replace(FLAT, **{name: getattr(FLAT, name) * (1 + share)})
