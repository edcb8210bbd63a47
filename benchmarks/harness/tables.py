"""`Table`: figures side by side, each with its ratio to a reference of the same sitting and what it is meant to reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What a figure is meant to reach.

    Attributes:
        bound: The limit.
        most: It may be this at most; else it must be this at least.
        of: What is compared: the ratio to the reference, the figure itself, or its difference to the reference.
    """

    bound: float
    most: bool = False
    of: Literal["ratio", "value", "difference"] = "ratio"

    def met(self, value: float, reference: float | None) -> bool | None:
        """Tell whether a figure reaches it; None when there is nothing to compare with."""
        if self.of != "value":
            if not reference:
                return None
            value = value / reference if self.of == "ratio" else value - reference
        return value <= self.bound if self.most else value >= self.bound

    def text(self, unit: str) -> str:
        sign = "≤" if self.most else "≥"
        return (
            f"{sign} {self.bound:g}"
            if self.of == "ratio"
            else f"{sign} {'+' * (self.of == 'difference')}{self.bound:g} {unit}"
        )


@dataclass
class Row:
    """One subject's figures.

    Attributes:
        name: What was measured, with its setting.
        values: One figure a round, in the table's unit.
        against: The name of the row that the ratio is taken to.
        target: What it is meant to reach.
        size: How much one round does, as in "20,000".
        remark: What a reader must know to judge it: the setting of a peer, or why there is no figure.
    """

    name: str
    values: list[float] = field(default_factory=list)
    against: str | None = None
    target: Target | None = None
    size: str = ""
    remark: str = ""

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass
class Table:
    """Rows of one workload.

    Attributes:
        key: Its short name, by which it is found in the JSON.
        title: What is measured.
        unit: Of every figure, such as "jobs/s" or "ms".
        rows: In the order in which they are shown.
        note: What a reader must know to judge the figures.
    """

    key: str
    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    note: str = ""

    def row(self, name: str | None) -> Row | None:
        """Return the row of that name, if it has figures."""
        return next((row for row in self.rows if row.name == name and row.values), None)

    def ratio(self, row: Row) -> float | None:
        """Return how many times its reference's figure a row's is, by their medians."""
        reference = self.row(row.against)
        return row.median / reference.median if reference and reference.median else None

    def met(self, row: Row) -> bool | None:
        """Tell whether a row reaches its target; None when it has none, or nothing to compare with."""
        if row.target is None or not row.values:
            return None
        reference = self.row(row.against)
        return row.target.met(row.median, reference.median if reference else None)

    def cells(self) -> list[tuple[str, ...]]:
        """Return the table as text, its head first."""
        lines: list[tuple[str, ...]] = [("", self.unit, "min-max", "rounds", "ratio", "to", "target", "met")]
        letters = {name: chr(ord("a") + place) for place, name in enumerate(self.references())}
        for row in self.rows:
            name = f"({letters[row.name]}) {row.name}" if row.name in letters else row.name
            if not row.values:
                lines.append((name, "-", "", "", "", "", "", ""))
                continue
            ratio = self.ratio(row)
            spread = f"{figure(min(row.values))}-{figure(max(row.values))}"
            rounds = f"{len(row.values)} x {row.size}" if row.size else str(len(row.values))
            target = row.target.text(self.unit) if row.target else ""
            met = {True: "yes", False: "NO", None: ""}[self.met(row)]
            shown = "" if ratio is None else f"{ratio:.3g}" if ratio < 0.1 else f"{ratio:.2f}"
            letter = letters.get(row.against or "", "") if ratio is not None else ""
            lines.append((name, figure(row.median), spread, rounds, shown, letter, target, met))
        return lines

    def references(self) -> list[str]:
        """Return the rows that others are measured against, in order."""
        against = {row.against for row in self.rows}
        return [row.name for row in self.rows if row.name in against]

    def remarks(self) -> list[str]:
        """Return the note, and what is remarked of single rows."""
        return [self.note] * bool(self.note) + [f"{row.name}: {row.remark}" for row in self.rows if row.remark]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
        lines = [self.title]
        for name, *rest in cells:
            numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
            lines.append("  ".join([f"  {name.ljust(widths[0])}", *numbers]).rstrip())
        return "\n".join(lines + [f"  {remark}" for remark in self.remarks()])


def figure(value: float) -> str:
    """Return a figure with as many digits as are of interest."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
