from __future__ import annotations

import subprocess
import sys

import lagoqueue.monitor
import lagoqueue_dashboard


def test_the_monitoring_names_are_those_of_lagoqueue_monitor() -> None:
    shared = set(lagoqueue_dashboard.__all__) & set(lagoqueue.monitor.__all__)
    for name in shared:
        assert getattr(lagoqueue_dashboard, name) is getattr(lagoqueue.monitor, name)
    own = {"Access", "Action", "Done", "Prefixed", "Viewer", "dashboard", "redact_secrets", "stand_alone"}
    assert set(lagoqueue_dashboard.__all__) - shared == own


def test_the_go_librarys_names_are_there() -> None:
    seed = {"Stats", "FailedJob", "FailedJobs", "MemoryFailedJobs", "Inspector", "MemoryInspector", "Sampler"}
    assert seed <= set(lagoqueue_dashboard.__all__)


def test_importing_it_loads_no_driver_and_no_server() -> None:
    script = "import sys, lagoqueue_dashboard; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert not {"lagoqueue_sql", "lagoqueue_dashboard.standalone.serving"} & set(loaded.stdout.split())
