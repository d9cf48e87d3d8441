"""A dataset's profiles as one page: how many rows came each day, what was missing, how values moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

from mlforge.ingest.profile import Profile
from mlforge.pages import card, cards, html_page
from mlforge.spec import UseCase

_WIDTH, _NARROW, _BAND = 900, 500, 84  # of charts across the page and in a card; height of the latter
_TOP = 8
_STYLE = """
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem;
  margin-bottom: .9rem }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 540px), 1fr)); gap: .9rem }
.grid .panel { margin: 0 } h3 { margin: 0; font-size: 1rem }
h3 small { font-weight: 400; color: var(--dim); margin-left: .4rem } svg text { font-size: 11px }
.strip { display: grid; grid-template-columns: 11rem 1fr 4rem; align-items: center; gap: .6rem; font-size: .85rem }
.strip span:last-child { text-align: right; color: var(--dim) } .strip svg { height: 14px; border-radius: 3px }
.panel table { font-size: .85rem; font-variant-numeric: tabular-nums }
.panel td { padding: .12rem .4rem; border: 0 } .panel td:first-child { max-width: 14rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap } .panel td:nth-child(2) { width: 55% }
.panel td:last-child { text-align: right; color: var(--dim) }
td i { display: block; height: .7rem; border-radius: 3px; background: var(--bar) }
.stats { font-size: .82rem; margin: .1rem 0 .4rem }
"""


def profile_page(use_case: UseCase, dataset: str, profiles: Sequence[Profile]) -> str:
    """Return a page with charts of every partition's profile; nothing is loaded from outside, light and dark.

    Args:
        use_case: The use case.
        dataset: Name of the dataset.
        profiles: Oldest first, at least one.
    """
    contract = use_case.contract(dataset)
    title = f"{dataset} · {use_case.title}"
    first, last = profiles[0].partition_key, profiles[-1].partition_key
    span = first if first == last else f"{first} to {last}"
    cells = "".join(_column_card(column.name, column, profiles) for column in contract.columns)
    parts = [
        f"<h1>{escape(dataset)}</h1><p>{escape(use_case.title)} · contract {escape(contract.version)} · {span}</p>",
        _facts(profiles),
        f'<h2>Rows per partition</h2><div class="panel">{_rows_chart(profiles)}</div>',
        f'<h2>Missing values</h2><div class="panel">{_null_strips(contract.column_names, profiles)}</div>',
        "<h2>Columns</h2><p>Numbers: the median, the middle half and 5 to 95 % over time. Others: the most frequent "
        "values, counted in the partitions where they are among the ten most frequent. Personal columns show no "
        "values.</p>",
        f'<div class="grid">{cells}</div>',
    ]
    return html_page(title, parts, style=_STYLE)


def _facts(profiles: Sequence[Profile]) -> str:
    rows = sum(each.rows for each in profiles)
    facts = {
        "rows": f"{rows:,}",
        "partitions": f"{len(profiles):,}",
        "rows per partition": f"{rows / len(profiles):,.0f}",
        "in quarantine": f"{sum(each.rows_quarantined for each in profiles):,}",
        "copies left out": f"{sum(each.rows_duplicate for each in profiles):,}",
        "published again": f"{sum(each.version > 1 for each in profiles):,}",
    }
    return cards(*(card(value, name) for name, value in facts.items()))


def _rows_chart(profiles: Sequence[Profile]) -> str:
    height = 150
    highest = max(max(each.rows + each.rows_quarantined for each in profiles), 1)
    step = _WIDTH / len(profiles)
    bars = []
    for place, each in enumerate(profiles):
        whole = (each.rows + each.rows_quarantined) / highest * height
        good = each.rows / highest * height
        note = f"{escape(each.partition_key)}: {each.rows:,} rows, {each.rows_quarantined:,} in quarantine"
        left, wide = place * step, max(step * 0.85, 0.6)
        bars.append(
            f'<g><title>{note}</title><rect x="{left:.1f}" y="{height - whole:.1f}" width="{wide:.1f}" '
            f'height="{max(whole - good, 0):.1f}" fill="var(--bad)"/><rect x="{left:.1f}" y="{height - good:.1f}" '
            f'width="{wide:.1f}" height="{good:.1f}" fill="var(--bar)"/></g>'
        )
    return (
        f'<svg viewBox="0 -14 {_WIDTH} {height + 32}" role="img" aria-label="rows per partition">{"".join(bars)}'
        f'<text x="0" y="-4">{highest:,}</text>{_ends(profiles, height + 14)}</svg>'
    )


def _ends(profiles: Sequence[Profile], y: float) -> str:
    last = "" if len(profiles) == 1 else profiles[-1].partition_key
    return (
        f'<text x="0" y="{y:.0f}">{escape(profiles[0].partition_key)}</text>'
        f'<text x="{_WIDTH}" y="{y:.0f}" text-anchor="end">{escape(last)}</text>'
    )


def _null_strips(names: Sequence[str], profiles: Sequence[Profile]) -> str:
    return "".join(_strip(name, profiles) for name in names)


def _strip(name: str, profiles: Sequence[Profile]) -> str:
    step = _WIDTH / len(profiles)
    cells, nulls, rows = [], 0, 0
    for place, each in enumerate(profiles):
        missing = each.columns.get(name, {}).get("nulls", each.rows)
        nulls, rows = nulls + missing, rows + each.rows
        share = missing / each.rows if each.rows else 0.0
        if missing:
            # The root lets one per cent be seen.
            cells.append(
                f'<rect x="{place * step:.1f}" width="{step + 0.3:.1f}" height="14" fill="var(--bad)" '
                f'fill-opacity="{max(share**0.5, 0.12):.2f}">'
                f"<title>{escape(each.partition_key)}: {share:.1%}</title></rect>"
            )
    total = f"{nulls / rows:.1%}" if rows and nulls else "none"
    return (
        f'<div class="strip"><span>{escape(name)}</span><svg viewBox="0 0 {_WIDTH} 14" preserveAspectRatio="none" '
        f'role="img" aria-label="missing in {escape(name)}"><rect width="{_WIDTH}" height="14" fill="var(--line)"/>'
        f"{''.join(cells)}</svg><span>{total}</span></div>"
    )


def _column_card(name: str, column: Any, profiles: Sequence[Profile]) -> str:
    head = f"<h3>{escape(name)}<small>{escape(column.logical_type)}</small></h3>"
    about = escape(column.description or "")
    if column.personal:
        return f'<div class="panel">{head}<p class="stats">{about}</p><p>Personal: no values are kept.</p></div>'
    numeric = any("quantiles" in each.columns.get(name, {}) for each in profiles)
    body = _bands(name, profiles) if numeric and len(profiles) > 1 else _top(name, profiles)
    return f'<div class="panel">{head}<p class="stats">{about}{_range(name, profiles)}</p>{body}</div>'


def _range(name: str, profiles: Sequence[Profile]) -> str:
    found = [each.columns[name] for each in profiles if each.columns.get(name, {}).get("min") is not None]
    if not found:
        return ""
    low, high = min(each["min"] for each in found), max(each["max"] for each in found)
    return f" · {escape(_short(low))} to {escape(_short(high))}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    # A year and a number of four digits read better as they are.
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _bands(name: str, profiles: Sequence[Profile]) -> str:
    series = [
        (place, each.columns[name]["quantiles"])
        for place, each in enumerate(profiles)
        if (each.columns.get(name, {}).get("quantiles") or [None])[0] is not None
    ]
    if not series:
        return "<p>No value at all.</p>"
    low, high = min(each[0] for _, each in series), max(each[4] for _, each in series)
    scale = (high - low) or 1.0
    step = _NARROW / max(len(profiles) - 1, 1)

    def point(place: int, value: float) -> str:
        return f"{place * step:.1f},{_BAND - (value - low) / scale * _BAND:.1f}"

    def area(lower: int, upper: int, opacity: float) -> str:
        there = " ".join(point(place, each[upper]) for place, each in series)
        back = " ".join(point(place, each[lower]) for place, each in reversed(series))
        return f'<polygon points="{there} {back}" fill="var(--bar)" fill-opacity="{opacity}"/>'

    median = " ".join(point(place, each[2]) for place, each in series)
    return (
        f'<svg viewBox="0 -14 {_NARROW} {_BAND + 34}" role="img" aria-label="quantiles of {escape(name)}">'
        f"{area(0, 4, 0.13)}{area(1, 3, 0.27)}"
        f'<polyline points="{median}" fill="none" stroke="var(--bar)" stroke-width="1.6"/>'
        f'<text x="0" y="-3">{_short(high)}</text><text x="0" y="{_BAND + 14}">{_short(low)}</text>'
        f'<text x="{_NARROW}" y="{_BAND + 14}" text-anchor="end">{escape(profiles[-1].partition_key)}</text></svg>'
    )


def _top(name: str, profiles: Sequence[Profile]) -> str:
    counts: Counter[str] = Counter()
    for each in profiles:
        for value, count in each.columns.get(name, {}).get("top", []):
            counts[_short(value)] += count
    if not counts:
        return "<p>No value at all.</p>"
    highest = counts.most_common(1)[0][1]
    rows = "".join(
        f'<tr><td title="{escape(value)}">{escape(value)}</td><td><i style="width:{count / highest:.1%}"></i></td>'
        f"<td>{count:,}</td></tr>"
        for value, count in counts.most_common(_TOP)
    )
    return f'<div class="wide"><table>{rows}</table></div>'
