"""What needs no store: the heap, the codec, the queue in memory and a worker's cycle over it, timed by pytest-benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.processes import ROOT
from harness.sizes import Size, pick
from harness.stores import Stores
from harness.tables import Row, Table, Target

Benches = Sequence[tuple[str, str, str | None, Target | None]]
"""The names of benchmarks, and of their rows; what they are measured against, and what they are to reach."""

AWAITED = "deque and dict, push+pop+ack"
QUEUE = "asyncio.Queue, put+get"
MEMORY: Benches = [
    ("bench_memory[deque_and_dict]", AWAITED, None, None),
    ("bench_memory[asyncio_queue]", QUEUE, AWAITED, None),
    ("bench_memory[memory_queue]", "MemoryQueue, push+pop+ack", AWAITED, Target(0.6)),
]
CYCLE: Benches = [
    ("bench_memory[asyncio_queue]", QUEUE, None, None),
    ("bench_cycle[1-0]", "Worker, concurrency 1", QUEUE, None),
    ("bench_cycle[1-100]", "Worker, concurrency 1, prefetch 100", QUEUE, None),
    ("bench_cycle[10-100]", "Worker, concurrency 10, prefetch 100", QUEUE, None),
    ("bench_cycle[100-100]", "Worker, concurrency 100, prefetch 100", QUEUE, None),
    ("bench_cycle[10-490]", "Worker, concurrency 10, prefetch 490", QUEUE, Target(0.28)),
]


def heap(entries: int) -> Benches:
    tuples = "heapq, tuples"
    return [
        (f"bench_heap[with_heapq-{entries}]", tuples, None, None),
        (f"bench_heap[with_delay_heap-{entries}]", "DelayHeap", tuples, Target(8) if entries == 1_000_000 else None),
    ]


def codec(side: str, kind: str) -> Benches:
    alone, python = "msgspec alone", "Python around msgspec"
    return [
        (f"bench_{side}[msgspec-{kind}]", alone, None, None),
        (f"bench_{side}[python-{kind}]", python, alone, None),
        (f"bench_{side}[lagoqueue-{kind}]", "lagoqueue", python, None),
    ]


def tables(stores: Stores, size: Size) -> Iterator[Table]:
    """Run the benchmarks in several sittings, so that a slow moment of the machine meets all."""
    sittings = [sit(size) for _ in range(pick(size, full=5, quick=1, tiny=1))]
    yield rates("memory", "Memory, awaited one by one: everything in, then everything out", "jobs/s", MEMORY, sittings)
    yield rates(
        "cycle",
        "A worker's full cycle over MemoryQueue, awaited no-op handler: fetch, decode, run, settle, report",
        "jobs/s",
        CYCLE,
        sittings,
    )
    for entries in (1_000, 100_000, 1_000_000):
        if f"bench_heap[with_heapq-{entries}]" in sittings[0]:
            yield rates(f"heap_{entries}", f"Delay heap, n = {entries:,}", "push+pop/s", heap(entries), sittings)
    ids: Benches = [
        ("bench_ids[python]", "Python", None, None),
        ("bench_ids[lagoqueue]", "new_id", "Python", None),
    ]
    yield rates("ids", "UUIDv7 as text", "ids/s", ids, sittings)
    for kind in ("small", "dataclass", "order"):
        yield rates(f"dispatch_{kind}", f"Codec, payload to Job: {kind}", "jobs/s", codec("dispatch", kind), sittings)
        yield rates(
            f"delivery_{kind}",
            f"Codec, Job to handler and payload: {kind}",
            "jobs/s",
            codec("delivery", kind),
            sittings,
        )
    yield both_ways(sittings)


def sit(size: Size) -> dict[str, float]:
    """Run all benchmarks once; return the seconds of an operation of each: of its repetitions the quickest."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(ROOT / "micro"), f"--size={size}"]
        command += ["-c", str(ROOT / "micro" / "pytest.ini"), f"--benchmark-json={answer}", str(ROOT / "micro")]
        run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if run.returncode:
            raise RuntimeError(f"the micro benchmarks failed\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
        found = json.loads(answer.read_text())["benchmarks"]
    return {each["name"]: each["stats"]["min"] / each["extra_info"]["operations"] for each in found}


def rates(key: str, title: str, unit: str, benches: Benches, sittings: Sequence[dict[str, float]]) -> Table:
    table = Table(key, title, unit)
    for name, row, against, target in benches:
        table.rows.append(Row(row, [1 / sitting[name] for sitting in sittings], against, target))
    return table


def both_ways(sittings: Sequence[dict[str, float]]) -> Table:
    """Return what encoding and decoding cost together, in nanoseconds."""
    table = Table("codec", "Codec, both ways: payload to Job, Job to handler and payload: small", "ns")
    for codec in ("msgspec", "python", "lagoqueue"):
        names = [f"bench_{side}[{codec}-small]" for side in ("dispatch", "delivery")]
        row = Row({"msgspec": "msgspec alone", "python": "Python around msgspec"}.get(codec, codec))
        row.values = [sum(sitting[name] for name in names) * 1e9 for sitting in sittings]
        row.against = None if codec == "msgspec" else "msgspec alone"
        row.target = Target(150, most=True, of="difference") if codec == "lagoqueue" else None
        table.rows.append(row)
    return table
