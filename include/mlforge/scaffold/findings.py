"""What was inferred and why, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlforge.scaffold.draft import Draft
from mlforge.scaffold.reading import SAMPLE_ROWS
from mlforge.scaffold.targets import STRONG

_MOST_NAMES = 12


@dataclass(frozen=True)
class Finding:
    """One thing that was inferred."""

    what: str
    value: str
    why: str


def findings(draft: Draft) -> Iterator[Finding]:
    """Yield what the draft says, in the order in which a person would ask."""
    wishes, partitions, target = draft.wishes, draft.partitions, draft.target
    rows = len(draft.sample.table) + draft.sample.copies
    yield Finding(
        "source",
        draft.sample.origin.label,
        f"{rows:,} rows, {len(draft.columns)} columns" + ("" if draft.sample.whole else ", the first ones of more"),
    )
    yield Finding("dataset", draft.dataset, "as you said" if wishes.dataset else "the source's name")
    yield Finding("target", target.column.name, "as you said")
    yield Finding("task", target.task, "as you said" if wishes.task else target.why)
    if target.labels:
        yield Finding("labels", " / ".join(target.labels), f"{_share(draft):.1%} of the rows are {target.labels[1]!r}")
    yield Finding("time", draft.time.name, _why_time(draft))
    yield Finding("partition", f"a {partitions.period}", partitions.why)
    last = "it ends there" if not draft.open_ended else "it goes on" if draft.sample.whole else "there is more"
    yield Finding("schedule", f"{partitions.start} to {partitions.end}", f"{partitions.days} days; {last}")
    yield Finding(
        "key",
        ", ".join(column.name for column in draft.key) or "none",
        ("as you said" if wishes.key else "different in every row") if draft.key else "no four columns name a row",
    )
    for view in draft.views:
        entity = " + ".join(column.name for column in view.entity)
        yield Finding("features", view.name, _why_view(draft, entity, said=bool(wishes.entities)))
    yield Finding("asked of a caller", _names([column.name for column in draft.asked]), "known at the moment")
    for title, group in (("known afterwards", draft.later), ("left out", draft.left_out)):
        for name, reason in group.items():
            yield Finding(title, name, reason)
    windows = draft.training
    yield Finding(
        "training",
        f"{windows.window_days} days",
        f"of them {windows.validation_days} for validation, the last {windows.test_days} for the test",
    )


def warnings(draft: Draft) -> Iterator[str]:
    """Yield what a person should look at before trusting the first model."""
    if not draft.sample.whole:
        yield (
            f"The source has more than {SAMPLE_ROWS:,} rows, and only the first {len(draft.sample.table):,} were looked"
            " at. Check `schedule`, which has no end, and the ranges."
        )
    for name, reason in draft.later.items():
        if reason.startswith("suspicious"):
            yield f"{name!r} may leak the target: {reason.removeprefix('suspicious: ')}. It is not asked of a caller."
    strong = [c.name for c in draft.asked if c is not draft.time and draft.told[c.name] >= STRONG]
    for name in strong:
        yield (
            f"{name!r} alone tells {draft.told[name]:.0%} of the target. Is it known at the moment? If not, say --after"
            f" {name!r}."
        )
    if draft.partitions.gap:
        yield draft.partitions.gap[0].upper() + draft.partitions.gap[1:] + "."
    if not draft.key:
        yield "No columns name a row: outcomes cannot be told apart. Name them by --key."
    if draft.wishes.known_after is None:
        yield (
            f"Each row, its {draft.target.column.name!r} included, is taken as known when its {draft.partitions.period}"
            " ends. If the outcome comes later, say so by --known-after DAYS; else the model learns from what nobody"
            " knew."
        )
    if not draft.time.zoned and draft.wishes.timezone == "UTC":
        yield f"The times of {draft.time.name!r} have no zone and are taken as UTC; --timezone says another."
    if draft.sample.copies:
        yield f"{draft.sample.copies:,} rows are exact copies of others: one of each is published, the rest counted."


def _share(draft: Draft) -> float:
    import numpy as np

    return float(np.nanmean(draft.target.outcomes))


def _why_time(draft: Draft) -> str:
    if draft.wishes.time:
        return "as you said"
    others = f"; also possible: {_names(list(draft.other_times))}" if draft.other_times else ""
    return f"a time in every row{others}"


def _why_view(draft: Draft, entity: str, *, said: bool) -> str:
    short, long = draft.windows
    history = _names([column.name for column in draft.history])
    about = f"counts and means of {history} over {short} and {long} days"
    if not entity:
        return f"per weekday, as no column names things that come again: {about}"
    return f"per {entity}{', as you said' if said else ''}: {about}"


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown
