"""What the benchmark files share: interleaved rounds, and tables that show them as ratios.

A benchmark file has one function, `run(quick: bool) -> list[Table]`, and ends with

    if __name__ == "__main__":
        main(run)

so that it runs alone (`python benchmarks/bench_heap.py [--quick]`), and so that a runner can import it
by name, call `run` and print the tables.

Subjects of one table take turns, round by round, so that a slow moment of the machine meets all of
them. Everything runs in one thread. The garbage collector runs between measurements, and is off during one.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

Subject = Callable[[], float]
"""Does its work once and returns nanoseconds per operation; setup is left out of that."""


@dataclass
class Table:
    """Measurements side by side; the first row is what the ratios are taken against.

    Attributes:
        title: What is measured, with the sizes.
        rows: Name and nanoseconds per operation of each round.
        note: What a reader must know to judge the figures.
    """

    title: str
    rows: list[tuple[str, list[float]]] = field(default_factory=list)
    note: str = ""

    def ratio(self, name: str) -> float:
        """Return how many times faster than the first row this row is, by their medians."""
        return median(self.rows[0][1]) / median(dict(self.rows)[name])

    def __str__(self) -> str:
        cells = [("", "ns/op", "min-max", "rounds", "times as fast")]
        for name, values in self.rows:
            cells.append(
                (
                    name,
                    f"{median(values):,.0f}",
                    f"{min(values):,.0f}-{max(values):,.0f}",
                    str(len(values)),
                    f"{self.ratio(name):.2f}x",
                )
            )
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        lines = [self.title]
        for row in cells:
            numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([f"  {row[0].ljust(widths[0])}", *numbers]))
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)


def compare(title: str, subjects: Sequence[tuple[str, Subject]], rounds: int, note: str = "") -> Table:
    """Measure subjects in turns, after one round that does not count."""
    table = Table(title, [(name, []) for name, _ in subjects], note)
    for number in range(-1, rounds):
        for (_, subject), (_, values) in zip(subjects, table.rows, strict=True):
            gc.collect()
            gc.disable()
            try:
                value = subject()
            finally:
                gc.enable()
            if number >= 0:
                values.append(value)
    return table


def per_call(calls: int, function: Callable[..., object], *args: object) -> Subject:
    """Return a subject that calls `function(*args)` this many times; the loop itself counts, too."""

    def subject() -> float:
        times = itertools.repeat(None, calls)  # cheaper than range, as in timeit: the loop is not what is measured
        start = time.perf_counter_ns()
        if len(args) == 1:  # the usual way to call, and without the cost of unpacking
            argument = args[0]
            for _ in times:
                function(argument)
        else:
            for _ in times:
                function(*args)
        return (time.perf_counter_ns() - start) / calls

    return subject


def main(run: Callable[[bool], list[Table]]) -> None:
    """Run one benchmark file from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes")
    for table in run(parser.parse_args().quick):
        print(f"{table}\n", flush=True)
