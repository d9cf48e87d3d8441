"""Charts as SVG within a page: lines over an axis of names, and intervals around zero."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 1100, 320, 64, 28, 12
_COLORS = 6


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: What the legend says.
        values: One per place of the axis; None leaves a gap.
    """

    name: str
    values: Sequence[float | None]


def line_chart(axis: Sequence[str], lines: Sequence[Line], *, label: str, digits: int = 3) -> str:
    """Return a chart of lines over named places, with its legend.

    Args:
        axis: Names of the places, left to right.
        lines: At most six are told apart by colour.
        label: What is drawn, for those who cannot see it.
        digits: Behind the point, at the vertical axis.
    """
    known = [value for line in lines for value in line.values if value is not None and math.isfinite(value)]
    if not axis or not known:
        return "<p>nothing to draw yet</p>"
    low, high = _span(known)
    step = (_WIDTH - _LEFT) / max(1, len(axis) - 1)
    points = [
        [
            None if value is None or not math.isfinite(value) else (_LEFT + place * step, _height(value, low, high))
            for place, value in enumerate(line.values)
        ]
        for line in lines
    ]
    drawn = "".join(_draw(each, number % _COLORS) for number, each in enumerate(points))
    names = "".join(
        f'<span><i style="background:var(--c{number % _COLORS})"></i>{escape(line.name)}</span>'
        for number, line in enumerate(lines)
    )
    grid = _grid(low, high, digits) + _ticks(axis, step)
    return (
        f'<svg viewBox="0 0 {_WIDTH + 16} {_HEIGHT}" role="img" aria-label="{escape(label)}">{grid}{drawn}</svg>'
        f'<div class="legend">{names}</div>'
    )


def interval_chart(
    rows: Sequence[tuple[str, float, float, float]],
    *,
    limit: float | None,
    label: str,
    digits: int | None = None,
    failed: Collection[str] | None = None,
) -> str:
    """Return a chart of intervals, one per row, around zero.

    Args:
        rows: Name, lower end, middle, upper end.
        limit: Where a line marks the margin; None for none.
        label: What is drawn, for those who cannot see it.
        digits: Behind the point, at a scale below the intervals; None for no scale.
        failed: Names of rows that stand out; None for those that lie wholly beyond the margin.
    """
    if not rows:
        return ""
    ends = [0.0, *(value for _, *values in rows for value in values), *([] if limit is None else [limit])]
    low, high = _span(ends)
    name_width, line_height = 220, 24
    width = _WIDTH - name_width

    def place(value: float) -> float:
        return name_width + (value - low) / (high - low) * width

    height = line_height * len(rows) + 8
    marks = [f'<line class="zero" x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{height}"/>']
    if limit is not None:
        marks.append(
            f'<line x1="{place(limit):.1f}" x2="{place(limit):.1f}" y1="0" y2="{height}" stroke="var(--bad)"/>'
        )
    for number, (name, lower, middle, upper) in enumerate(rows):
        y = number * line_height + line_height / 2 + 4
        beyond = limit is not None and lower > limit if failed is None else name in failed
        color = "var(--bad)" if beyond else "var(--c0)"
        marks.append(
            f'<text x="0" y="{y + 4:.1f}">{escape(name)}</text>'
            f'<line x1="{place(lower):.1f}" x2="{place(upper):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" '
            f'stroke-width="3"/><circle cx="{place(middle):.1f}" cy="{y:.1f}" r="4.5" fill="{color}"/>'
        )
    if digits is not None:
        marks.extend(
            f'<text x="{place(value):.1f}" y="{height + 14}" text-anchor="middle">{value:+.{digits}f}</text>'
            for value in _round_values(low, high)
        )
        height += 20
    return f'<svg viewBox="0 0 {_WIDTH + 16} {height}" role="img" aria-label="{escape(label)}">{"".join(marks)}</svg>'


def _round_values(low: float, high: float) -> list[float]:
    """Return a few round values between two others, zero among them if it lies there."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _height(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)


def _draw(points: Sequence[tuple[float, float] | None], color: int) -> str:
    pieces: list[list[str]] = [[]]
    for point in points:
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{point[0]:.1f},{point[1]:.1f}")
    stroke = f'fill="none" stroke="var(--c{color})" stroke-width="2"'
    lines = "".join(f'<polyline points="{" ".join(piece)}" {stroke}/>' for piece in pieces if len(piece) > 1)
    lone = (piece[0].split(",") for piece in pieces if len(piece) == 1)
    return lines + "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="var(--c{color})"/>' for x, y in lone)


def _grid(low: float, high: float, digits: int) -> str:
    lines = []
    for number in range(5):
        value = low + (high - low) * number / 4
        y = _height(value, low, high)
        lines.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>'
        )
    return "".join(lines)


def _ticks(axis: Sequence[str], step: float) -> str:
    every = max(1, math.ceil(len(axis) / 9))
    return "".join(
        f'<text x="{_LEFT + place * step:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>'
        for place, name in enumerate(axis)
        if place % every == 0
    )
