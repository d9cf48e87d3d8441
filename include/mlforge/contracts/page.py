"""The page of a contract check: one file, nothing loaded from outside, every value escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlforge import storage
from mlforge.contracts.policy import Counts
from mlforge.contracts.results import HISTORY, CheckResult, RuleResult
from mlforge.contracts.rules import show

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
STYLE = """
:root{color-scheme:light dark;--ground:#fbfbfa;--card:#fff;--ink:#1d2330;--soft:#667085;--line:#e4e7ec;--good:#1a7f4b;
--warn:#b26a00;--bad:#c0362c;--aside:#7a5af8;--mark:#f2f4f7}
@media (prefers-color-scheme:dark){:root{--ground:#12151b;--card:#1a1f28;--ink:#e6e9ef;--soft:#98a2b3;--line:#2d3440;
--good:#4ac28a;--warn:#f0a73c;--bad:#f4736a;--aside:#a48afb;--mark:#232a35}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.5rem;margin:0 0 .25rem}
h2{font-size:1.05rem;margin:2rem 0 .6rem}.soft{color:var(--soft)}.small{font-size:.85rem}
.badge{display:inline-block;padding:.12rem .6rem;border-radius:1rem;color:#fff;font-weight:600;font-size:.85rem;
background:var(--good)}.warned{background:var(--warn)}.quarantined{background:var(--aside)}.failed{background:var(--bad)}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0}.tile{flex:1 1 130px;background:var(--card);
border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}.tile b{display:block;font-size:1.35rem;
font-variant-numeric:tabular-nums}.why{border-left:4px solid var(--bad);background:var(--card);padding:.6rem .9rem;
margin:.4rem 0;border-radius:.3rem;overflow-wrap:anywhere}.scroll{overflow-x:auto;border:1px solid var(--line);
border-radius:.6rem;background:var(--card)}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.45rem .7rem;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;color:var(--soft);font-weight:600;white-space:nowrap}td.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}code{font:.85rem ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.dot{display:inline-block;width:.65rem;height:.65rem;border-radius:50%;background:var(--good);margin-right:.4rem}
.dot.error{background:var(--bad)}.dot.warning{background:var(--warn)}.dot.info{background:var(--soft)}
.bar{display:inline-block;width:90px;height:.5rem;background:var(--mark);border-radius:.25rem;overflow:hidden;
vertical-align:middle;margin-left:.5rem}.bar i{display:block;height:100%;background:var(--bad)}
a{color:inherit}pre{margin:.3rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem;background:var(--mark);
padding:.5rem .7rem;border-radius:.4rem}svg{display:block;max-width:100%}svg text{fill:var(--soft);font-size:11px}
.f-passed{fill:var(--good)}.f-warned{fill:var(--warn)}.f-quarantined{fill:var(--aside)}.f-failed{fill:var(--bad)}
.key span{margin-right:1rem}.key svg{display:inline}details summary{cursor:pointer}
"""
_SAY = {
    "passed": "passed",
    "warned": "passed with warnings",
    "quarantined": "passed, rows set aside",
    "failed": "failed",
}


def store_page(found: CheckResult) -> str:
    """Store the page of a check below `reports/contracts` and return its address."""
    name = f"reports/contracts/{found.use_case}/{found.dataset}/{found.partition_key}.{found.attempt}.html"
    return storage.put_named(name, render_results(found).encode())


def render_results(found: CheckResult) -> str:
    """Return the page of a check."""
    title = f"{found.use_case}.{found.dataset} {found.partition_key}"
    wrong = sum(not rule.passed for rule in found.rules)
    facts = (
        f"contract {escape(found.contract_version)} · {len(found.rules)} rules, {wrong} broken ·"
        f" checked {found.checked_at:%Y-%m-%d %H:%M:%S} UTC · attempt {found.attempt}"
    )
    reasons = "".join(f'<div class="why">{escape(reason)}</div>' for reason in found.reasons[:10])
    more = f'<p class="soft small">and {len(found.reasons) - 10} more</p>' if len(found.reasons) > 10 else ""
    body = (
        f'<h1>{escape(title)} <span class="badge {found.outcome}">{_SAY[found.outcome]}</span></h1>'
        f'<p class="soft">{facts}</p>{reasons}{more}{_tiles(found)}{_extra(found.extra_columns)}'
        f"{_history(found)}<h2>Rules</h2>{_rules(found.rules)}"
    )
    return html_page(f"Contract check: {title}", body)


def html_page(title: str, body: str) -> str:
    """Return a whole page that loads nothing."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _tiles(found: CheckResult) -> str:
    counts, failed = found.counts, found.outcome == "failed"
    tiles = [
        ("rows in", counts.rows_in),
        ("whole, but nothing is published" if failed else "to be published", counts.kept),
        ("broken" if failed else "set aside", counts.broken),
        ("exact copies", counts.duplicate),
    ]
    each = "".join(f'<div class="tile"><b>{value:,}</b><span class="soft">{name}</span></div>' for name, value in tiles)
    return f'<div class="tiles">{each}</div>'


def _extra(columns: Sequence[str]) -> str:
    if not columns:
        return ""
    named = ", ".join(f"<code>{escape(name)}</code>" for name in columns)
    return f"<p>Columns that the contract does not name, and that were left out: {named}</p>"


def _rules(rules: Sequence[RuleResult]) -> str:
    ordered = sorted(rules, key=lambda rule: (rule.passed, -rule.rows_failed))
    rows = "".join(map(_rule, ordered))
    head = "<tr><th>rule</th><th>must be</th><th>figure</th><th>share of rows</th></tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _rule(rule: RuleResult) -> str:
    mark = "" if rule.passed else f" {escape(rule.severity)}"
    said = "passed" if rule.passed else f"broken, {rule.severity}"
    about = f'<div class="soft small">{escape(rule.description)}</div>' if rule.description else ""
    days = f" in {rule.partitions_failed} partitions" if rule.partitions_failed > 1 else ""
    bound = "kept by every row" if rule.scope == "row" else rule.bound
    rows = "row" if rule.rows_failed == 1 else "rows"
    value = f"{rule.rows_failed:,} {rows}{days}" if rule.scope == "row" else f"{show(rule.value)}{days}"
    examples = "".join(f"{escape(json.dumps(row, ensure_ascii=False))}\n" for row in rule.examples)
    shown = f"<details open><summary class=small>examples</summary><pre>{examples}</pre></details>" if examples else ""
    return (
        f'<tr><td><span class="dot{mark}" role="img" aria-label="{said}" title="{said}"></span>'
        f"<code>{escape(rule.name)}</code>{about}{shown}</td><td>{escape(bound)}</td>"
        f'<td class="n">{escape(value)}</td><td class="n">{_share(rule)}</td></tr>'
    )


def _share(rule: RuleResult) -> str:
    if rule.scope != "row":
        return ""
    share = rule.rows_failed / rule.rows_checked if rule.rows_checked else 0.0
    width = min(100.0, max(share * 100, 2.0)) if rule.rows_failed else 0
    return f'{share:.2%}<span class="bar"><i style="width:{width:.0f}%"></i></span>'


def _history(found: CheckResult) -> str:
    shown = dict(sorted(found.partitions.items())[-max(HISTORY, 1) :])
    if len(found.partitions) > HISTORY:
        heading = f"Last {HISTORY} of {len(found.partitions)} partitions"
    else:
        heading = "Last partitions"
    key = "".join(
        f'<span><svg width="10" height="10"><rect width="10" height="10" class="f-{name}"/></svg> {said}</span>'
        for name, said in _SAY.items()
    )
    return f'<h2>{heading}</h2>{history_strip(shown)}<p class="key soft small">{key}</p>'


def history_strip(partitions: Mapping[str, tuple[str, Counts]]) -> str:
    """Return a bar per partition: its height the rows that came, its colour the verdict."""
    most = max((counts.rows_in for _, counts in partitions.values()), default=0) or 1
    bars = []
    for place, (key, (outcome, counts)) in enumerate(partitions.items()):
        height = max(4.0, 60 * counts.rows_in / most)
        told = f"{key}: {_SAY[outcome]}, {counts.rows_in:,} in, {counts.broken:,} broken, {counts.duplicate:,} copies"
        bars.append(
            f'<rect x="{place * 20}" y="{64 - height:.1f}" width="16" height="{height:.1f}" rx="2"'
            f' class="f-{outcome}"><title>{escape(told)}</title></rect>'
        )
    width = max(20 * len(partitions), 150)
    ends = list(partitions)
    last = f'<text x="{width}" y="80" text-anchor="end">{escape(ends[-1])}</text>' if len(ends) > 1 else ""
    first = f'<text x="0" y="80">{escape(ends[0])}</text>' if ends else ""
    return f'<svg width="{width}" height="84" viewBox="0 0 {width} 84" role="img">{"".join(bars)}{first}{last}</svg>'


def facts_table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    """Return a table; its cells are HTML already."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
