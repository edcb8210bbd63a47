"""What lagoqueue takes when it does little: time to import and to start, memory, and processor time of an idle worker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

from harness.processes import ROOT, Answer, ask
from harness.script import clock
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table, Target
from ours.draining import fill
from suites.drain import BEST

IMPORT = """
import time
start = time.perf_counter()
import {}
seconds = time.perf_counter() - start
import json
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps({{"milliseconds": seconds * 1000, "megabytes": pages * 4096 / 1e6}}))
"""
STORE = "psycopg, sqlalchemy"
NEEDED = "asyncio, msgspec"


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Measure each in fresh processes."""
    rounds = pick(size, full=9, quick=3, tiny=1)
    imports: dict[str, list[Answer]] = {}
    for names in ("asyncio", NEEDED, "lagoqueue", "lagoqueue_sql", STORE):
        imported(names)  # writes the bytecode where there is none yet
        imports[names] = [imported(names) for _ in range(rounds)]
    times = Table("import", "Importing, in a fresh interpreter", "ms")
    for names, answers in imports.items():
        target = Target(60, most=True, of="value") if names == "lagoqueue" else None
        times.rows.append(Row(f"import {names}", [answer["milliseconds"] for answer in answers], target=target))
    yield times

    table = Table("start", "PostgreSQL: from starting a process to the start of its first handler", "ms")
    table.rows.append(Row("lagoqueue", [first_job(stores) for _ in range(rounds)]))
    yield table

    seconds = pick(size, full=60.0, quick=10.0, tiny=0.1)
    idle = rest(stores, "idle", {"seconds": seconds, **BEST})
    busy = rest(stores, "busy", {"jobs": pick(size, full=100_000, quick=20_000, tiny=1_000), **BEST})
    table = Table("idle", f"PostgreSQL: an idle worker for {seconds:g} s", "% of a core")
    table.rows.append(Row("lagoqueue", [idle["percent"]], target=Target(0.5, most=True, of="value")))
    yield table

    table = Table("resident", "PostgreSQL: resident memory of a worker process", "MB")
    drivers = f"a process that has imported {STORE}"
    table.rows.append(Row(drivers, [answer["megabytes"] for answer in imports[STORE]]))
    table.rows.append(Row("lagoqueue, idle", [idle["megabytes"]], drivers))
    table.rows.append(Row("lagoqueue, busy", [busy["megabytes"]], drivers))
    yield table


def imported(names: str) -> Answer:
    return ask([sys.executable, "-c", IMPORT.format(names)])


def first_job(stores: Stores) -> float:
    with stores.postgresql() as place:
        asyncio.run(fill(place | {"jobs": 1}))
        milliseconds: float = script("first_job", place | {"since": clock()})["milliseconds"]
        return milliseconds


def rest(stores: Stores, workload: str, settings: dict[str, Any]) -> Answer:
    with stores.postgresql() as place:
        asyncio.run(fill(place | {"jobs": settings.get("jobs", 0)}))
        return script(workload, place | settings)


def script(workload: str, settings: dict[str, Any]) -> Answer:
    return ask([sys.executable, str(ROOT / "ours" / "resting.py"), workload, json.dumps(settings)])
