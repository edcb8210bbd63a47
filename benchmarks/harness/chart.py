"""Charts as SVG, written as text; readable on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from harness.tables import figure

WIDTH = 840
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .small { font-size: 11px; fill: #57606a }
  .ours { fill: #0969da; stroke: none } .raw { fill: #8c959f } .peer { fill: #c8a26b }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke: #0969da; stroke-width: 1.5 } .second { stroke: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
    .ours { fill: #4493f8 } .raw { fill: #6e7681 } .peer { fill: #9a7b45 }
    .line { stroke: #4493f8 } .second { stroke: #f0883e }
  }"""


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its length, and "ours", "raw" or "peer"."""

    name: str
    value: float
    kind: str


@dataclass(frozen=True)
class Bars:
    """Bars that are compared."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Lines:
    """Figures over time: for each name the points, (seconds, value)."""

    title: str
    unit: str
    lines: dict[str, Sequence[tuple[float, float]]]


def bar_chart(groups: Sequence[Bars]) -> str:
    """Draw groups of bars below each other, each with a scale of its own from zero."""
    label, row = 380, 22
    most = WIDTH - label - 80
    drawn: list[str] = []
    y = 8
    for group in groups:
        drawn.append(_text(0, y + 14, group.title, "title"))
        y += 26
        longest = max(bar.value for bar in group.bars)
        for bar in group.bars:
            width = max(1.0, bar.value / longest * most)
            drawn.append(_text(label - 8, y + 14, bar.name, "", "end"))
            drawn.append(
                f'<rect class="{bar.kind}" x="{label}" y="{y + 3}" width="{width:.1f}" height="{row - 7}" rx="2"/>'
            )
            drawn.append(_text(label + width + 6, y + 14, figure(bar.value), "small"))
            y += row
        y += 16
    return _svg(y, drawn)


def line_chart(panels: Sequence[Lines]) -> str:
    """Draw panels below each other over one axis of time."""
    left, right, height = 60, WIDTH - 20, 150
    drawn: list[str] = []
    y = 8
    for panel in panels:
        points = [point for line in panel.lines.values() for point in line]
        seconds = max((x for x, _ in points), default=0.0) or 1.0
        top = max((value for _, value in points), default=0.0) * 1.05 or 1.0
        drawn.append(_text(0, y + 14, panel.title, "title"))
        y += 26
        for share in (0.0, 0.5, 1.0):
            at = y + height * (1 - share)
            drawn.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            drawn.append(_text(left - 6, at + 4, figure(top * share), "small", "end"))
        for place, (name, line) in enumerate(panel.lines.items()):
            kind = "line second" if place else "line"
            path = " ".join(
                f"{left + x / seconds * (right - left):.1f},{y + height * (1 - value / top):.1f}" for x, value in line
            )
            drawn.append(f'<polyline class="{kind}" points="{path}"/>')
            drawn.append(
                f'<line class="{kind}" x1="{left + 110 * place}" x2="{left + 16 + 110 * place}" y1="{y + height + 17}" y2="{y + height + 17}"/>'
            )
            drawn.append(_text(left + 22 + 110 * place, y + height + 21, name, "small"))
        drawn.append(_text(right, y + height + 21, f"{panel.unit}; {seconds:.0f} s", "small", "end"))
        y += height + 36
    return _svg(y, drawn)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, drawn: Sequence[str]) -> str:
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
        f"<style>{STYLE}\n</style>\n{body}\n</svg>\n"
    )
