"""The statements that add to the counters: to the totals of a label, and to a row of its history."""

# ruff: noqa: S608 - only names that are written here are put into these

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lagoqueue.monitor.tally import COUNTS, NAMES


class Upsert(NamedTuple):
    """How a database adds to a row that may be there already.

    Attributes:
        into: Behind the name of the table.
        clause: What begins the part for a row that is there; KEYS is put in.
        old, new: How that names a column's value there, and the one to be added; NAME is put in.
    """

    into: str
    clause: str
    old: str
    new: str


ON_CONFLICT = Upsert(" AS old", "ON CONFLICT (KEYS) DO UPDATE SET", "old.NAME", "excluded.NAME")


def count_total(upsert: Upsert) -> str:
    """Return the statement that adds to the totals of a label since they began."""
    latest = upsert.new.replace("NAME", "processed_at"), upsert.old.replace("NAME", "processed_at")
    return _adding(
        "{totals}",
        upsert,
        {"jobs_table": ":jobs_table", "queue": ":queue"},
        COUNTS,
        {"processed_at": ("{now} - :ago", f"COALESCE({', '.join(latest)})")},
    )


def count_history(upsert: Upsert, whole: str = "/") -> str:
    """Return the statement that adds to the present bucket of a label.

    Args:
        upsert: How the database adds.
        whole: Its operator that divides without a rest.
    """
    bucket = f"{{now}} {whole} (1000000 * :span) * :span"
    keys = {"jobs_table": ":jobs_table", "span": ":span", "bucket": bucket, "queue": ":queue"}
    return _adding("{history}", upsert, keys, NAMES, {})


def _adding(
    table: str, upsert: Upsert, keys: Mapping[str, str], sums: Sequence[str], more: Mapping[str, tuple[str, str]]
) -> str:
    """Return an insert that adds up `sums` where the keys are there; `more` has the value for a new row and an old one."""
    columns = (*keys, *sums, *more)
    values = (*keys.values(), *(f":{name}" for name in sums), *(new for new, _ in more.values()))
    sets = (
        *(f"{name} = {upsert.old} + {upsert.new}".replace("NAME", name) for name in sums),
        *(f"{name} = {old}" for name, (_, old) in more.items()),
    )
    return (
        f"INSERT INTO {table}{upsert.into} ({', '.join(columns)}) VALUES ({', '.join(values)})"
        f" {upsert.clause.replace('KEYS', ', '.join(keys))} {', '.join(sets)}"
    )
