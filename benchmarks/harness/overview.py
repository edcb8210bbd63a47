"""The chart of a run: durable queues beside the raw limits of their stores."""

from __future__ import annotations

from harness.chart import Bar, Bars, bar_chart
from harness.results import Results

SHOWN = (
    (("peers_drain", "drain"), "PostgreSQL: drain by one worker process, jobs/s"),
    (("peers_enqueue_one", "enqueue_one"), "PostgreSQL: enqueue one by one, jobs/s"),
    (("peers_enqueue_bulk", "enqueue_bulk"), "PostgreSQL: enqueue 1,000 at a time, jobs/s"),
    (("sqlite_full_drain",), "SQLite, synchronous=full: drain, jobs/s"),
)


def overview(results: Results) -> str:
    """Draw what is of the most interest, of what was measured; Redis, which does not sync to the disk, is left out."""
    groups: list[Bars] = []
    for keys, title in SHOWN:
        table = results.table(*keys)
        if table is not None:
            rows = [row for row in table.rows if row.values and "redis" not in row.name]
            rows.sort(key=lambda row: -row.median)
            groups.append(Bars(title, [Bar(row.name, row.median, _kind(row.name)) for row in rows]))
    return bar_chart(groups)


def _kind(name: str) -> str:
    return "ours" if name.startswith("lagoqueue") else "raw" if name.startswith("raw") else "peer"
