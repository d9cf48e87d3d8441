"""The page of a contract check: one file, nothing loaded from outside, every value escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mlforge import storage
from mlforge.contracts.policy import Counts
from mlforge.contracts.results import HISTORY, CheckResult, RuleResult
from mlforge.contracts.rules import show
from mlforge.pages import Raw, card, cards, html_page, table

_STYLE = """
:root { --aside: #7a5af8 } @media (prefers-color-scheme: dark) { :root { --aside: #a48afb } }
.soft { color: var(--dim) } .small { font-size: .85rem }
.badge { display: inline-block; padding: .12rem .6rem; border-radius: 1rem; color: #fff; font-weight: 600;
  font-size: .85rem; background: var(--good) } .badge.warned { background: var(--warn) }
.badge.quarantined { background: var(--aside) } .badge.failed { background: var(--bad) }
.why { border-left: 4px solid var(--bad); background: var(--card); padding: .6rem .9rem; margin: .4rem 0;
  border-radius: .3rem; overflow-wrap: anywhere }
.dot { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; background: var(--good);
  margin-right: .4rem } .dot.error { background: var(--bad) } .dot.warning { background: var(--warn) }
.dot.info { background: var(--dim) }
.bar { display: inline-block; width: 90px; height: .5rem; background: var(--card); border-radius: .25rem;
  overflow: hidden; vertical-align: middle; margin-left: .5rem } .bar i { display: block; height: 100%;
  background: var(--bad) } a { color: inherit }
pre { margin: .3rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; background: var(--card);
  padding: .5rem .7rem; border-radius: .4rem }
.f-passed { fill: var(--good) } .f-warned { fill: var(--warn) } .f-quarantined { fill: var(--aside) }
.f-failed { fill: var(--bad) } .key span { margin-right: 1rem } .key svg { display: inline }
details summary { cursor: pointer }
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
    parts = [
        f'<h1>{escape(title)} <span class="badge {found.outcome}">{_SAY[found.outcome]}</span></h1><p>{facts}</p>',
        f"{reasons}{more}{_cards(found)}{_extra(found.extra_columns)}",
        f"{_history(found)}<h2>Rules</h2>{_rules(found.rules)}",
    ]
    return contract_page(f"Contract check: {title}", parts)


def contract_page(title: str, parts: Iterable[str]) -> str:
    """Return a page with the marks and colours of verdicts."""
    return html_page(title, parts, style=_STYLE)


def _cards(found: CheckResult) -> str:
    counts, failed = found.counts, found.outcome == "failed"
    return cards(
        card(f"{counts.rows_in:,}", "rows in"),
        card(f"{counts.kept:,}", "whole, but nothing is published" if failed else "to be published"),
        card(f"{counts.broken:,}", "broken" if failed else "set aside"),
        card(f"{counts.duplicate:,}", "exact copies"),
    )


def _extra(columns: Sequence[str]) -> str:
    if not columns:
        return ""
    named = ", ".join(f"<code>{escape(name)}</code>" for name in columns)
    return f"<p>Columns that the contract does not name, and that were left out: {named}</p>"


def _rules(rules: Sequence[RuleResult]) -> str:
    ordered = sorted(rules, key=lambda rule: (rule.passed, -rule.rows_failed))
    return table(["rule", "must be", "figure", "share of rows"], map(_rule, ordered), numbers=[2, 3])


def _rule(rule: RuleResult) -> tuple[object, ...]:
    mark = "" if rule.passed else f" {escape(rule.severity)}"
    said = "passed" if rule.passed else f"broken, {rule.severity}"
    about = f'<div class="soft small">{escape(rule.description)}</div>' if rule.description else ""
    days = f" in {rule.partitions_failed} partitions" if rule.partitions_failed > 1 else ""
    rows = "row" if rule.rows_failed == 1 else "rows"
    value = f"{rule.rows_failed:,} {rows}{days}" if rule.scope == "row" else f"{show(rule.value)}{days}"
    examples = "".join(f"{escape(json.dumps(row, ensure_ascii=False))}\n" for row in rule.examples)
    shown = f"<details open><summary class=small>examples</summary><pre>{examples}</pre></details>" if examples else ""
    name = (
        f'<span class="dot{mark}" role="img" aria-label="{said}" title="{said}"></span>'
        f"<code>{escape(rule.name)}</code>{about}{shown}"
    )
    return Raw(name), "kept by every row" if rule.scope == "row" else rule.bound, value, Raw(_share(rule))


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
