"""Tables in a page of the documentation, between two markers, just as the command prints them."""

from __future__ import annotations

from pathlib import Path

from harness.results import Results
from harness.tables import Table

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


def write_into(page: Path, results: Results) -> None:
    """Replace what is between the markers of a page.

    Raises:
        ValueError: It has none.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} with {END} after it")
    page.write_text(f"{before}{BEGIN}\n\n{text(results)}\n\n{END}{after}")


def text(results: Results) -> str:
    """Return the results as Markdown."""
    what = " ".join(["nox -s bench", *(["--", *results.words] if results.words else [])])
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    return "\n\n".join([f"`{what}`, {results.date[:10]}:", machine, *map(section, results.tables)])


def section(table: Table) -> str:
    head, *lines = table.cells()
    empty = [column for column in range(1, len(head)) if not any(line[column] for line in lines)]
    kept = [column for column in range(len(head)) if column not in empty]
    rows = [[_escape(line[column]) for column in kept] for line in lines]
    bars = ["---" if column == 0 else "---:" for column in kept]
    body = [[head[column] for column in kept], bars, *rows]
    written = "\n".join("| " + " | ".join(row) + " |" for row in body)
    remarks = "\n".join(f"- {_escape(remark)}" for remark in table.remarks())
    return "\n\n".join(part for part in (f"**{table.title}**", written, remarks) if part)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
