from __future__ import annotations

import lagoqueue.monitor
import lagoqueue_dashboard


def test_the_names_are_those_of_lagoqueue_monitor() -> None:
    for name in lagoqueue_dashboard.__all__:
        assert getattr(lagoqueue_dashboard, name) is getattr(lagoqueue.monitor, name)


def test_the_go_librarys_names_are_there() -> None:
    seed = {"Stats", "FailedJob", "FailedJobs", "MemoryFailedJobs", "Inspector", "MemoryInspector", "Sampler"}
    assert seed <= set(lagoqueue_dashboard.__all__)


def test_it_defines_nothing_of_its_own() -> None:
    public = {name for name in vars(lagoqueue_dashboard) if not name.startswith("_") and name != "annotations"}
    assert public == set(lagoqueue_dashboard.__all__)
