"""A diff as a page of its own: nothing is loaded from elsewhere, every value is escaped."""

from __future__ import annotations

from html import escape

from mlforge.pages import Raw, card, cards, html_page, table
from mlforge.versions.diff import Shift, VersionDiff
from mlforge.versions.metadata import Version
from mlforge.versions.rows import CellChanges
from mlforge.versions.shift import NumberSummary

_STYLE = """
.bar { display: inline-block; height: .6rem; border-radius: 3px; background: var(--bar); vertical-align: baseline }
.range { fill: var(--wash) } .box { fill: var(--bar); opacity: .55 } .middle { stroke: var(--ink); stroke-width: 2 }
ul { margin: 0; padding-left: 1.1rem } li { margin: 0 }
"""
_PARTITIONS = 400


def render_diff(diff: VersionDiff) -> str:
    """Return the page."""
    title = f"{diff.old.name} → {diff.new.name}"
    parts = [
        f"<h1>{escape(str(diff.old.name))} → {escape(diff.new.version)}</h1>",
        _about("before", diff.old),
        _about("after", diff.new),
        _cards(diff),
        _columns(diff),
        _cells(diff),
        _shifts(diff),
        _partitions(diff),
        _examples(diff),
        _files(diff),
    ]
    return html_page(title, parts, style=_STYLE)


def _about(word: str, version: Version) -> str:
    note = f", “{escape(version.note)}”" if version.note else ""
    return (
        f"<p>{word}: <code>{escape(version.version)}</code>, {version.rows:,} rows in {len(version.files):,} files, "
        f"{version.created_at:%Y-%m-%d %H:%M} UTC by {escape(version.who)}{note}</p>"
    )


def _cards(diff: VersionDiff) -> str:
    rows = diff.rows
    shown = cards(
        card(f"{rows.added:,}", "rows added", "good"),
        card(f"{rows.removed:,}", "rows removed", "bad"),
        card(f"{rows.changed:,}", "rows changed", "warn"),
        card(f"{rows.same:,}", "rows the same"),
        card(f"{len(diff.partitions):,}", "partitions differ"),
        card(f"{diff.unchanged:,}", "partitions the same"),
    )
    same = "<p>Both hold the same files, byte for byte.</p>" if diff.same else ""
    return shown + same


def _columns(diff: VersionDiff) -> str:
    columns = diff.columns
    if not columns:
        return ""
    rows = [
        *((_code(name), "added") for name in columns.added),
        *((_code(name), "removed") for name in columns.removed),
        *((_code(name), f"{old} → {new}") for name, old, new in columns.retyped),
    ]
    return "<h2>Columns</h2>" + table(["column", "change"], rows)


def _cells(diff: VersionDiff) -> str:
    changes = sorted(diff.rows.columns.items(), key=lambda item: (-item[1].cells, item[0]))
    if not changes:
        return ""
    most = changes[0][1].cells
    key = ", ".join(diff.new.key)
    rows = [
        (
            _code(name),
            f"{found.cells:,}",
            Raw(f'<span class="bar" style="width:{max(2, round(120 * found.cells / most))}px"></span>'),
            _examples_of(found),
        )
        for name, found in changes
    ]
    text = f"<p>Rows are matched by {escape(key)}. At most five examples per column.</p>"
    return "<h2>Changed cells</h2>" + text + table(["column", "cells", "", "examples"], rows, numbers=[1])


def _examples_of(found: CellChanges) -> Raw:
    items = (f"<li>{escape(row)}: {escape(old)} → {escape(new)}</li>" for row, old, new in found.examples)
    return Raw(f"<ul>{''.join(items)}</ul>")


def _shifts(diff: VersionDiff) -> str:
    if not diff.shifts:
        return ""
    rows = [
        (
            _code(shift.column),
            f"{_figure(shift.old.mean)} → {_figure(shift.new.mean)}",
            "" if shift.in_deviations is None else f"{shift.in_deviations:+.3f}",
            f"{shift.old.nulls:,} → {shift.new.nulls:,}",
            Raw(_boxes(shift)),
        )
        for shift in diff.shifts
    ]
    text = (
        "<p>The shift is that of the mean in standard deviations of before. The bars span 5 to 95 % of the values, the "
        "dark part the middle half, the line the median; above before, below after.</p>"
    )
    heads = ["column", "mean", "shift", "missing", "distribution"]
    return "<h2>Shifted numbers</h2>" + text + table(heads, rows, numbers=[1, 2, 3])


def _boxes(shift: Shift) -> str:
    """Return the quantiles of before and after, drawn to one scale."""
    both = [summary.quantiles for summary in (shift.old, shift.new) if summary.quantiles]
    if not both:
        return ""
    low, high = min(found[0] for found in both), max(found[-1] for found in both)
    width, scale = 260, 256 / ((high - low) or 1.0)
    drawn = "".join(_box(summary, 3 + 15 * line, low, scale) for line, summary in enumerate((shift.old, shift.new)))
    label = f"from {_figure(low)} to {_figure(high)}"
    return f'<svg width="{width}" height="32" role="img" aria-label="{label}"><title>{label}</title>{drawn}</svg>'


def _box(summary: NumberSummary, top: int, low: float, scale: float) -> str:
    if summary.quantiles is None:
        return ""
    ends = [2 + (value - low) * scale for value in summary.quantiles]
    return (
        _rectangle("range", ends[0], ends[4], top)
        + _rectangle("box", ends[1], ends[3], top)
        + f'<line class="middle" x1="{ends[2]:.1f}" x2="{ends[2]:.1f}" y1="{top}" y2="{top + 11}"/>'
    )


def _rectangle(kind: str, first: float, last: float, top: int) -> str:
    return f'<rect class="{kind}" x="{first:.1f}" y="{top}" width="{max(1, last - first):.1f}" height="11" rx="2"/>'


def _partitions(diff: VersionDiff) -> str:
    if not diff.partitions:
        return ""
    rows = [
        (
            each.partition,
            each.status,
            *(f"{count:,}" if count else "" for count in (each.added, each.removed, each.changed)),
        )
        for each in diff.partitions[:_PARTITIONS]
    ]
    rest = len(diff.partitions) - _PARTITIONS
    more = f"<p>and {rest:,} more; all are in <code>--json</code></p>" if rest > 0 else ""
    heads = ["partition", "status", "rows added", "removed", "changed"]
    return "<h2>Partitions that differ</h2>" + table(heads, rows, numbers=[2, 3, 4]) + more


def _examples(diff: VersionDiff) -> str:
    found = diff.rows
    rows = [
        *((text, "added") for text in found.added_examples),
        *((text, "removed") for text in found.removed_examples),
    ]
    if not rows:
        return ""
    text = "<p>At most five of each, from partitions that both have.</p>"
    return "<h2>Rows added and removed</h2>" + text + table(["row", "change"], rows)


def _files(diff: VersionDiff) -> str:
    rows = [
        (kind, f"{len(names):,}", ", ".join(names[:12]) + (" …" if len(names) > 12 else ""))
        for kind, names in diff.files.items()
        if names
    ]
    return "<h2>Files, by DVC</h2>" + table(["change", "files", "names"], rows, numbers=[1]) if rows else ""


def _code(name: str) -> Raw:
    return Raw(f"<code>{escape(name)}</code>")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"
