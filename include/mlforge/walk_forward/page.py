"""The page of a walk: which policy pays, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from mlforge.pages import Line, Raw, card, cards, html_page, interval_chart, line_chart, table
from mlforge.spec import UseCase
from mlforge.walk_forward.ledger import WalkRecord, WeekRecord
from mlforge.walk_forward.summary import ALPHA, PolicySummary, Summary, duration, summarize

_MEANING = {
    "never": "the model of the walk's first week, for ever",
    "expanding": "trained each week on all days so far",
    "sliding": "trained each week on the last days",
    "on_drift": "trained anew when the last week differs from its training rows",
}


def walk_page(
    use_case: UseCase, walk: WalkRecord, records: Sequence[WeekRecord], *, price_per_hour: float | None = None
) -> str:
    """Return the page of a walk as HTML that loads nothing.

    Args:
        use_case: Whose walk.
        walk: Which one.
        records: Its weeks.
        price_per_hour: What an hour of such a machine costs; none leaves money out.
    """
    found = summarize(walk, records)
    title = f"Walk forward of {use_case.name}"
    return html_page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            f"<p><b>{escape(found.conclusion)}</b></p>",
            f"<p>{escape(_what(walk, found))}</p>",
            _cards(found, price_per_hour),
            "<h2>Which policy pays</h2>",
            _policies(found, price_per_hour),
            *_against(found),
            f"<h2>{escape(found.metric)}, week by week</h2>",
            _chart(found, found.values, f"{found.metric} of each week, per policy"),
            f"<h2>{escape(found.metric)} over all weeks so far</h2>",
            _chart(found, found.running, f"{found.metric} over all rows so far, per policy"),
            "<h2>Seconds spent so far</h2>",
            _cost_chart(walk, records, found),
            "<h2>Weeks</h2>",
            _weeks(walk, records),
            "<h2>Settings</h2>",
            table(("setting", "value"), ((key, _plain(value)) for key, value in walk.details.items())),
        ],
    )


def _what(walk: WalkRecord, found: Summary) -> str:
    span = f"{found.weeks[0]} to {found.weeks[-1]}" if found.weeks else f"from {walk.first.key} on"
    return (
        f"Walk {walk.name}, {span}. Each week's models know what was known when the week began, and are scored on the "
        "rows of the week. Lower is better."
    )


def _cards(found: Summary, price: float | None) -> str:
    trainings = sum(each.trainings for each in found.policies)
    seconds = sum(each.seconds for each in found.policies)
    best = min(found.policies, key=lambda each: each.mean, default=None)
    return cards(
        card(found.winner or "open", "policy that pays", "good" if found.winner else ""),
        card(f"{best.mean:.4g}" if best else "none yet", f"best mean {found.metric}"),
        card(len(found.weeks), "weeks"),
        card(f"{found.rows:,}", "rows scored"),
        card(trainings, "trainings"),
        card(duration(seconds), "assembling and training") if price is None else _money(seconds, price),
    )


def _money(seconds: float, price: float) -> str:
    return card(f"{seconds / 3600 * price:,.2f}", f"cost at {price:g} an hour")


def _policies(found: Summary, price: float | None) -> str:
    head = ["policy", "what it does", f"mean {found.metric}", "against never", f"{1 - ALPHA:.0%} interval", "trainings"]
    head += ["time", "per training"] + ([] if price is None else ["cost"])
    rows = [_policy_row(each, found, price) for each in found.policies]
    return table(head, rows, numbers=range(2, len(head)))


def _policy_row(each: PolicySummary, found: Summary, price: float | None) -> list[object]:
    name = escape(each.policy)
    against, interval = Raw(""), ""
    if each.against is not None:
        tone = "good" if each.against.better else "bad" if each.against.worse else ""
        against = Raw(f'<span class="{tone}">{each.against.difference:+.4f}</span>')
        interval = f"{each.against.lower:+.4f} to {each.against.upper:+.4f}"
    row: list[object] = [
        Raw(f"<b>{name}</b>" if each.policy == found.winner else name),
        _MEANING.get(each.policy, ""),
        f"{each.mean:.4f}",
        against,
        interval,
        each.trainings,
        duration(each.seconds),
        duration(each.seconds / each.trainings) if each.trainings else "",
    ]
    return row if price is None else [*row, f"{each.money(price):,.2f}"]


def _against(found: Summary) -> list[str]:
    rows = [
        (each.policy, each.against.lower, each.against.difference, each.against.upper)
        for each in found.policies
        if each.against is not None
    ]
    if not rows:
        return []
    text = (
        f"Difference of {found.metric} to never, over the same weeks. Below zero the policy is better. The interval is "
        "a bootstrap over blocks of neighbouring weeks."
    )
    return [
        f"<p>{escape(text)}</p>",
        interval_chart(rows, limit=None, label=f"difference of {found.metric} to never, per policy"),
    ]


def _chart(found: Summary, values: Mapping[str, Sequence[float]], label: str) -> str:
    return line_chart(found.weeks, [Line(name, each) for name, each in values.items()], label=label)


def _cost_chart(walk: WalkRecord, records: Sequence[WeekRecord], found: Summary) -> str:
    lines = []
    for policy in walk.policies:
        spent, total = [], 0.0
        own = {str(record.week): record.seconds for record in records if record.policy == policy}
        for week in found.weeks:
            total += own[week]
            spent.append(total)
        lines.append(Line(policy, spent))
    return line_chart(found.weeks, lines, label="seconds spent so far, per policy", digits=0)


def _weeks(walk: WalkRecord, records: Sequence[WeekRecord]) -> str:
    """Return a table of all weeks, newest first: per policy the metric, marked where it trained."""
    by_week: dict[str, dict[str, WeekRecord]] = {}
    for record in records:
        by_week.setdefault(str(record.week), {})[record.policy] = record
    rows = []
    for week, own in sorted(by_week.items(), reverse=True):
        some = next(iter(own.values()))
        cells = [_week_cell(own.get(policy)) for policy in walk.policies]
        drift = own["on_drift"].reason if "on_drift" in own else ""
        rows.append([week, f"{some.rows:,}", f"{some.label_mean:.3f}", *cells, drift])
    head = ("week", "rows", "mean label", *walk.policies, "on_drift did")
    note = "<p>A dot marks a week for which the policy trained.</p>"
    return note + table(head, rows, numbers=range(1, 3 + len(walk.policies)))


def _week_cell(record: WeekRecord | None) -> object:
    if record is None:
        return "missing"
    mark = '<span title="trained">●</span> ' if record.trained else ""
    return Raw(f"{mark}{record.value:.4f}")


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
