"""Guardrails: in no group of rows may the candidate be surely worse than the champion by more than a margin."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlforge.errors import PromotionError
from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence, Predictions
from mlforge.registry.resampling import Clusters, Resampled, resample_difference
from mlforge.spec.gates import Segment

MISSING = "(none)"


class Group(BaseModel):
    """A group of test rows, candidate less champion: below zero the candidate is better.

    Attributes:
        by: Column that makes the groups.
        value: The group's value of it.
        rows: How many test rows.
        difference: Of the metric; none where the group was not judged.
        lower: Lower end of its interval.
        upper: Upper end.
        margin: The lower end may not be above it.
    """

    model_config = ConfigDict(frozen=True)

    by: str
    value: str
    rows: int
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float

    @property
    def judged(self) -> bool:
        """Whether there were enough rows."""
        return self.lower is not None

    @property
    def worse(self) -> bool:
        """Whether the candidate is surely worse than the margin allows."""
        return self.lower is not None and self.lower > self.margin


@dataclass(frozen=True)
class _Part:
    segment: Segment
    value: str
    rows: int
    found: Resampled | None


def check_segments(evidence: Evidence) -> tuple[list[Check], tuple[Group, ...]]:
    """Return a check per guardrail of `gates.segments`, and every group.

    Alpha is shared by all judged groups (Bonferroni), so that a candidate that is worse in none is refused with
    probability alpha at most. Holm's procedure would refuse the same candidates: it stops at the first group that
    alpha over their number does not refuse. And these are intervals that can be drawn. Before the first champion
    nothing is judged: there is nothing to be worse than.

    Raises:
        PromotionError: A guardrail names a column that the training set lacks.
    """
    gates, theirs = evidence.use_case.gates, evidence.theirs
    for segment in gates.segments:
        _require_column(evidence, segment)
    if theirs is None or not evidence.comparable:
        return [], ()
    parts = [part for segment in gates.segments for part in _parts(evidence, segment, theirs)]
    share = gates.alpha / max(1, sum(part.found is not None for part in parts))
    groups = tuple(_judge(part, share) for part in parts)
    checks = [
        _check(segment, [group for group in groups if group.by == segment.by], gates.metric, share)
        for segment in gates.segments
    ]
    return checks, groups


def group_rows(evidence: Evidence, column: str) -> tuple[list[str], Clusters]:
    """Return the values of a column among the test rows, sorted, and the place of each row's value in them."""
    import pyarrow as pa

    texts = evidence.test.table.column(column).cast(pa.string()).fill_null(MISSING)
    values, places = np.unique(np.asarray(texts.to_pylist(), dtype=str), return_inverse=True)
    return [str(value) for value in values], places.astype(np.int64)


def _parts(evidence: Evidence, segment: Segment, theirs: Predictions) -> Iterator[_Part]:
    values, places = group_rows(evidence, segment.by)
    gates = evidence.use_case.gates
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(len(values) + 1))
    for place, value in enumerate(values):
        rows = order[ends[place] : ends[place + 1]]
        clusters: Clusters | None = None if evidence.clusters is None else evidence.clusters[rows]
        enough = len(rows) >= segment.minimum_rows and (clusters is None or clusters.min() < clusters.max())
        own, other = evidence.own.losses[rows], theirs.losses[rows]
        found = (
            resample_difference(gates.metric, own, other, clusters, samples=gates.bootstrap_samples) if enough else None
        )
        yield _Part(segment, value, len(rows), found)


def _judge(part: _Part, share: float) -> Group:
    named = {"by": part.segment.by, "value": part.value, "rows": part.rows, "margin": part.segment.margin}
    if part.found is None:
        return Group(**named)
    lower, upper = part.found.interval(share)
    return Group(**named, difference=part.found.difference, lower=lower, upper=upper)


def _check(segment: Segment, groups: Sequence[Group], metric: str, share: float) -> Check:
    judged = [group for group in groups if group.judged]
    worse = sorted((group for group in judged if group.worse), key=lambda group: -(group.lower or 0))
    small = [group for group in groups if not group.judged]
    rest = f"; {len(small)} with too few rows ({sum(group.rows for group in small):,})" if small else ""
    figures = {"groups": len(groups), "judged": len(judged), "worse": len(worse), "alpha_each": share}
    name = f"no worse by {segment.by}"
    if not judged:
        return Check(name=name, passed=True, detail=f"no group of {segment.by} has enough rows{rest}", figures=figures)
    shown = worse[:5] or [max(judged, key=lambda group: group.lower or 0)]
    told = "; ".join(
        f"{group.value} {group.difference:+.4f} ({group.lower:+.4f} to {group.upper:+.4f}, {group.rows:,} rows)"
        for group in shown
    )
    limit = f"surely worse than {segment.margin:g} in {metric}"
    if worse:
        detail = f"{len(worse)} of {len(judged)} groups {'is' if len(worse) == 1 else 'are'} {limit}: {told}{rest}"
    else:
        detail = f"none of {len(judged)} groups is {limit}; the worst is {told}{rest}"
    return Check(name=name, passed=not worse, detail=detail, figures=figures)


def _require_column(evidence: Evidence, segment: Segment) -> None:
    names = evidence.test.table.column_names
    if segment.by not in names:
        near = difflib.get_close_matches(segment.by, names, n=1)
        raise PromotionError(
            f"`gates.segments` names {segment.by!r}, which the training set does not have",
            where=evidence.use_case.name,
            hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}",
        )
