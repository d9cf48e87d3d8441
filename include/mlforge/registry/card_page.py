"""The promotion card as a page to read: the verdict, every rule, the intervals drawn, the scores, the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mlforge.pages import Raw, card, cards, html_page, interval_chart, table
from mlforge.pages.frame import Tone
from mlforge.registry.card import PromotionCard
from mlforge.registry.checks import Group

_SHOWN = 12


def card_page(shown: PromotionCard) -> str:
    """Return the page of a promotion card."""
    title = f"{shown.use_case}: {shown.verdict}"
    return html_page(title, list(_parts(shown, title)))


def _parts(shown: PromotionCard, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    yield (
        f"<p>Compared with {escape(shown.against)} on {shown.rows:,} rows from {escape(shown.window[0])} to "
        f"{escape(shown.window[1])} UTC.</p>"
    )
    yield _headline(shown)
    yield "<h2>Rules</h2>"
    yield _rules(shown)
    yield from _intervals(shown)
    if shown.metrics:
        yield "<h2>Scores on the test rows</h2>"
        yield table(["score", *shown.scores], shown.score_rows(), numbers=range(1, len(shown.scores) + 1))
    yield "<h2>What it was made from</h2>"
    yield _facts(shown)


def _headline(shown: PromotionCard) -> str:
    failed = sum(not check.passed for check in shown.checks)
    tone: Tone = "good" if shown.passed else "bad"
    parts = [
        card("passed" if shown.passed else "refused", "the gate's verdict", tone),
        card(f"{len(shown.checks) - failed} of {len(shown.checks)}", "rules kept", tone),
    ]
    comparison = shown.comparison
    if comparison is not None:
        better: Tone = "good" if comparison.upper < 0 else ("bad" if comparison.lower > 0 else "")
        parts.append(card(f"{comparison.difference:+.4f}", f"{comparison.metric}, less the champion's", better))
    judged = [group for group in shown.segments if group.judged]
    if judged:
        worse = sum(group.worse for group in judged)
        parts.append(card(f"{len(judged) - worse} of {len(judged)}", "groups not surely worse", "bad" if worse else ""))
    parts.append(card(f"{shown.rows:,}", "test rows"))
    return cards(*parts)


def _rules(shown: PromotionCard) -> str:
    rows = [(check.name, _mark(kept=check.passed), check.detail) for check in shown.checks]
    return table(["rule", "kept", "figures"], rows)


def _mark(*, kept: bool) -> Raw:
    return Raw('<span class="good">yes</span>' if kept else '<b class="bad">no</b>')


def _intervals(shown: PromotionCard) -> Iterator[str]:
    comparison = shown.comparison
    if comparison is None:
        return
    better = comparison.rule == "superiority"
    asked = "below zero" if better else f"no higher than the margin {comparison.margin:g}, the red line"
    yield "<h2>Difference to the champion</h2>"
    yield (
        f"<p>{escape(comparison.metric)} of the candidate less the champion's: left of zero the candidate is better. "
        f"The {comparison.confidence:.0%} interval comes from {comparison.samples:,} resamples of {comparison.units:,} "
        f"{escape(comparison.resample)}s; its upper end has to lie {asked}.</p>"
    )
    row = ("all rows", comparison.lower, comparison.difference, comparison.upper)
    failed = () if comparison.passed else ("all rows",)
    yield interval_chart(
        [row], limit=None if better else comparison.margin, label="difference over all rows", digits=4, failed=failed
    )
    for by in dict.fromkeys(group.by for group in shown.segments):
        yield from _guardrail(by, [group for group in shown.segments if group.by == by])


def _guardrail(by: str, groups: Sequence[Group]) -> Iterator[str]:
    margin = groups[0].margin
    yield f"<h2>By {escape(by)}</h2>"
    yield (
        f"<p>A group fails when its whole interval lies right of the margin {margin:g}, the red line: then the "
        "candidate is surely worse there. The intervals are wider than that of all rows, because they share one "
        "chance of a false alarm.</p>"
    )
    rows = [
        (f"{group.value} ({group.rows:,})", group.lower, group.difference or 0.0, group.upper)
        for group in groups
        if group.lower is not None and group.upper is not None
    ]
    yield interval_chart(sorted(rows, key=lambda row: row[2]), limit=margin, label=f"difference by {by}", digits=3)
    small = [group for group in groups if not group.judged]
    if small:
        names = ", ".join(
            f"{group.value} ({group.rows:,})" for group in sorted(small, key=lambda each: -each.rows)[:12]
        )
        more = f" and {len(small) - 12} more" if len(small) > 12 else ""
        yield f"<p>Too few rows to judge: {escape(names)}{more}.</p>"


def _facts(shown: PromotionCard) -> str:
    candidate, training_set = shown.candidate, shown.candidate.training_set
    publications = ", ".join(f"{name} up to {number}" for name, number in training_set.publications.items())
    facts = [
        ("training set", Raw(f"<code>{escape(training_set.content_hash)}</code>")),
        ("its rows", f"{training_set.rows:,}, as of {training_set.as_of:%Y-%m-%d %H:%M} UTC"),
        ("publications", publications),
        ("feature service", training_set.feature_service),
        ("model", Raw(f"<code>{escape(candidate.uri)}</code>")),
        ("content", Raw(f"<code>{escape(candidate.content_hash)}</code>")),
        ("MLflow run", Raw(f"<code>{escape(candidate.run_id)}</code>")),
        ("code", Raw(f"<code>{escape(candidate.code_version)}</code>")),
        *((f"{name} fingerprint", Raw(f"<code>{escape(value)}</code>")) for name, value in _prints(shown)),
    ]
    rules = ", ".join(f"{name} {value}" for name, value in shown.gates.items() if value not in (None, [], False))
    return table(["what", "which"], [*facts, ("rules", rules)])


def _prints(shown: PromotionCard) -> list[tuple[str, str]]:
    return sorted(shown.candidate.fingerprints.items())
