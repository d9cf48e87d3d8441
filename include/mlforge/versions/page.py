"""A diff as a page of its own: nothing is loaded from elsewhere, every value is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from mlforge.versions.diff import Shift, VersionDiff
from mlforge.versions.metadata import Version
from mlforge.versions.shift import NumberSummary

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --dim: #5d6778; --paper: #fff; --card: #f5f7fa; --line: #dfe4ec;
  --added: #1a7f4b; --removed: #c0392b; --changed: #b26a00; --bar: #4a78c9; --wash: #dbe6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #9aa5b5; --paper: #14181f; --card: #1d232d;
  --line: #313a48; --added: #4cc38a; --removed: #f07d6f; --changed: #e5a13d; --bar: #7ba4ee; --wash: #26395c; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .2rem } h2 { font-size: 1.1rem; margin: 2.4rem 0 .6rem }
p { margin: .3rem 0; color: var(--dim) }
code { font: .9em ui-monospace, monospace }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin: 1.4rem 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
.card span { color: var(--dim) }
.added b, td.added { color: var(--added) } .removed b, td.removed { color: var(--removed) }
.changed b, td.changed { color: var(--changed) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th { text-align: left; color: var(--dim); font-weight: 600 }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.bar { display: inline-block; height: .6rem; border-radius: 3px; background: var(--bar); vertical-align: baseline }
svg { display: block } .range { fill: var(--wash) } .box { fill: var(--bar); opacity: .55 }
.middle { stroke: var(--ink); stroke-width: 2 }
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
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _about(word: str, version: Version) -> str:
    note = f", “{escape(version.note)}”" if version.note else ""
    return (
        f"<p>{word}: <code>{escape(version.version)}</code>, {version.rows:,} rows in {len(version.files):,} files, "
        f"{version.created_at:%Y-%m-%d %H:%M} UTC by {escape(version.who)}{note}</p>"
    )


def _cards(diff: VersionDiff) -> str:
    rows = diff.rows
    figures = [
        ("added", rows.added, "rows added"),
        ("removed", rows.removed, "rows removed"),
        ("changed", rows.changed, "rows changed"),
        ("", rows.same, "rows the same"),
        ("", len(diff.partitions), "partitions differ"),
        ("", diff.unchanged, "partitions the same"),
    ]
    cards = (f'<div class="card {kind}"><b>{count:,}</b><span>{text}</span></div>' for kind, count, text in figures)
    same = "<p>Both hold the same files, byte for byte.</p>" if diff.same else ""
    return f'<div class="cards">{"".join(cards)}</div>{same}'


def _columns(diff: VersionDiff) -> str:
    columns = diff.columns
    if not columns:
        return ""
    rows = [
        *((f"<code>{escape(name)}</code>", "added") for name in columns.added),
        *((f"<code>{escape(name)}</code>", "removed") for name in columns.removed),
        *((f"<code>{escape(name)}</code>", f"{escape(old)} → {escape(new)}") for name, old, new in columns.retyped),
    ]
    return "<h2>Columns</h2>" + _table(["column", "change"], rows)


def _cells(diff: VersionDiff) -> str:
    changes = sorted(diff.rows.columns.items(), key=lambda item: (-item[1].cells, item[0]))
    if not changes:
        return ""
    most = changes[0][1].cells
    key = ", ".join(diff.new.key)
    rows = [
        (
            f"<code>{escape(name)}</code>",
            f"{found.cells:,}",
            f'<span class="bar" style="width:{max(2, round(120 * found.cells / most))}px"></span>',
            "<ul>"
            + "".join(f"<li>{escape(row)}: {escape(old)} → {escape(new)}</li>" for row, old, new in found.examples)
            + "</ul>",
        )
        for name, found in changes
    ]
    text = f"<p>Rows are matched by {escape(key)}. At most five examples per column.</p>"
    return "<h2>Changed cells</h2>" + text + _table(["column", "#cells", "", "examples"], rows)


def _shifts(diff: VersionDiff) -> str:
    if not diff.shifts:
        return ""
    rows = [
        (
            f"<code>{escape(shift.column)}</code>",
            f"{_figure(shift.old.mean)} → {_figure(shift.new.mean)}",
            "" if shift.in_deviations is None else f"{shift.in_deviations:+.3f}",
            f"{shift.old.nulls:,} → {shift.new.nulls:,}",
            _boxes(shift),
        )
        for shift in diff.shifts
    ]
    text = (
        "<p>The shift is that of the mean in standard deviations of before. The bars span 5 to 95 % of the values, the "
        "dark part the middle half, the line the median; above before, below after.</p>"
    )
    heads = ["column", "#mean", "#shift", "#missing", "distribution"]
    return "<h2>Shifted numbers</h2>" + text + _table(heads, rows)


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
            escape(each.partition),
            escape(each.status),
            *(f"{count:,}" if count else "" for count in (each.added, each.removed, each.changed)),
        )
        for each in diff.partitions[:_PARTITIONS]
    ]
    rest = len(diff.partitions) - _PARTITIONS
    more = f"<p>and {rest:,} more; all are in <code>--json</code></p>" if rest > 0 else ""
    heads = ["partition", "status", "#rows added", "#removed", "#changed"]
    return "<h2>Partitions that differ</h2>" + _table(heads, rows) + more


def _examples(diff: VersionDiff) -> str:
    found = diff.rows
    rows = [
        *((escape(text), "added") for text in found.added_examples),
        *((escape(text), "removed") for text in found.removed_examples),
    ]
    if not rows:
        return ""
    text = "<p>At most five of each, from partitions that both have.</p>"
    return "<h2>Rows added and removed</h2>" + text + _table(["row", "change"], rows)


def _files(diff: VersionDiff) -> str:
    rows = [
        (kind, f"{len(names):,}", escape(", ".join(names[:12])) + (" …" if len(names) > 12 else ""))
        for kind, names in diff.files.items()
        if names
    ]
    return "<h2>Files, by DVC</h2>" + _table(["change", "#files", "names"], rows) if rows else ""


def _table(heads: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of cells that are escaped already; a head that begins with `#` is a column of numbers."""
    kinds = [' class="n"' if head.startswith("#") else "" for head in heads]
    head = "".join(f"<th{kind}>{escape(name.lstrip('#'))}</th>" for name, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"
