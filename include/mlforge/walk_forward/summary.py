"""What a walk has found so far: each policy's mean, its difference to the others with an interval, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlforge.metrics import Vector, from_mean
from mlforge.walk_forward.ledger import WalkRecord, WeekRecord

SEED = 20130101
SAMPLES = 4000
ALPHA = 0.05
# Fewer weeks than this say nothing about the weeks to come.
FEWEST_WEEKS = 8


@dataclass(frozen=True)
class Interval:
    """A difference of a metric with its interval; below zero the first of the two policies is better."""

    difference: float
    lower: float
    upper: float

    @property
    def better(self) -> bool:
        """Whether the first one is better, surely enough."""
        return self.upper < 0

    @property
    def worse(self) -> bool:
        """Whether the first one is worse, surely enough."""
        return self.lower > 0


@dataclass(frozen=True)
class PolicySummary:
    """A policy over all weeks that every policy has.

    Attributes:
        mean: The walk's metric over all rows of those weeks.
        against: Its difference to the policy that never trains again; none for that policy, or where it is not walked.
        trainings: How often it trained.
        seconds: What assembling, training and looking for drift took in all.
    """

    policy: str
    mean: float
    against: Interval | None
    trainings: int
    seconds: float

    def money(self, per_hour: float) -> float:
        """Return the cost at a price of an hour."""
        return self.seconds / 3600 * per_hour


@dataclass(frozen=True)
class Summary:
    """What a walk has found.

    Attributes:
        weeks: First days of the weeks that every policy has scores of, oldest first.
        policies: In the walk's order.
        values: Policy → the metric of each week.
        running: Policy → the metric over all rows up to each week.
        conclusion: Which policy pays, in a sentence.
        winner: That policy; none where nobody can tell.
    """

    metric: str
    weeks: tuple[str, ...]
    rows: int
    policies: tuple[PolicySummary, ...]
    values: Mapping[str, Sequence[float]]
    running: Mapping[str, Sequence[float]]
    conclusion: str
    winner: str | None


@dataclass(frozen=True)
class _Series:
    losses: Vector
    rows: Vector
    records: tuple[WeekRecord, ...]


def summarize(walk: WalkRecord, records: Sequence[WeekRecord]) -> Summary:
    """Return what a walk has found in the weeks that every policy has scores of.

    Source of the intervals: Künsch, The jackknife and the bootstrap for general stationary observations, 1989; blocks
    are circular, as in Politis and Romano, 1992: neighbouring weeks are alike.
    """
    series = _series(walk, records)
    policies = tuple(_summarize(walk.metric, name, series) for name in series)
    weeks = tuple(str(record.week) for record in next(iter(series.values())).records) if series else ()
    winner = _winner(walk.metric, policies, series) if len(weeks) >= FEWEST_WEEKS else None
    return Summary(
        metric=walk.metric,
        weeks=weeks,
        rows=int(next(iter(series.values())).rows.sum()) if series else 0,
        policies=policies,
        values={name: [record.value for record in each.records] for name, each in series.items()},
        running={name: list(_running(walk.metric, each)) for name, each in series.items()},
        conclusion=_conclude(walk.metric, policies, len(weeks), winner),
        winner=winner,
    )


def compare(metric: str, first: Vector, second: Vector, rows: Vector) -> Interval:
    """Return the difference of a metric between two policies on the same weeks, with its interval.

    Args:
        metric: Name of the metric; the interval is that of its value, not of the mean loss.
        first: Mean loss of each week, shape (n_weeks,).
        second: That of the other policy, shape (n_weeks,).
        rows: Rows of each week, shape (n_weeks,).
    """
    weeks = len(rows)
    length = max(1, round(weeks ** (1 / 3)))
    generator = np.random.default_rng(SEED)
    starts = generator.integers(0, weeks, size=(SAMPLES, -(-weeks // length)))
    chosen = ((starts[:, :, None] + np.arange(length)) % weeks).reshape(SAMPLES, -1)[:, :weeks]
    differences = _difference(metric, first[chosen], second[chosen], rows[chosen])
    lower, upper = np.quantile(differences, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(_difference(metric, first, second, rows)), float(lower), float(upper))


def _difference(metric: str, first: Vector, second: Vector, rows: Vector) -> Vector:
    total = rows.sum(axis=-1)
    own, other = ((losses * rows).sum(axis=-1) / total for losses in (first, second))
    return from_mean(metric, own) - from_mean(metric, other)


def _series(walk: WalkRecord, records: Sequence[WeekRecord]) -> dict[str, _Series]:
    """Return each policy's weeks, of those that all have."""
    found = {(record.policy, record.week): record for record in records}
    weeks = sorted({record.week for record in records})
    whole = [week for week in weeks if all((policy, week) in found for policy in walk.policies)]
    if not whole:
        return {}
    series = {}
    for policy in walk.policies:
        own = tuple(found[policy, week] for week in whole)
        losses = np.array([record.loss for record in own])
        series[policy] = _Series(losses, np.array([float(record.rows) for record in own]), own)
    return series


def _summarize(metric: str, name: str, series: Mapping[str, _Series]) -> PolicySummary:
    own, never = series[name], series.get("never")
    against = compare(metric, own.losses, never.losses, own.rows) if never is not None and name != "never" else None
    return PolicySummary(
        policy=name,
        mean=float(_running(metric, own)[-1]),
        against=against,
        trainings=sum(record.trained for record in own.records),
        seconds=sum(record.seconds for record in own.records),
    )


def _running(metric: str, series: _Series) -> Vector:
    return from_mean(metric, np.cumsum(series.losses * series.rows) / np.cumsum(series.rows))


def _winner(metric: str, policies: Sequence[PolicySummary], series: Mapping[str, _Series]) -> str | None:
    """Return the cheapest policy among those that are as good as the best one, as far as the weeks can tell."""
    best = min(policies, key=lambda each: each.mean)
    best_series = series[best.policy]
    as_good = [
        each
        for each in policies
        if each is best or not compare(metric, series[each.policy].losses, best_series.losses, best_series.rows).worse
    ]
    return min(as_good, key=lambda each: (each.seconds, each.mean)).policy


def _conclude(metric: str, policies: Sequence[PolicySummary], weeks: int, winner: str | None) -> str:
    by_name = {each.policy: each for each in policies}
    if winner is None:
        return f"{weeks} of the {FEWEST_WEEKS} weeks are scored that a statement needs."
    best = min(policies, key=lambda each: each.mean)
    chosen = by_name[winner]
    if winner == "never":
        text = "Training anew does not pay here: no policy is surely better than the model of the first week"
        return f"{text}, {metric} {chosen.mean:.4g} over {weeks} weeks."
    text = f"{winner} pays: {metric} {chosen.mean:.4g} over {weeks} weeks for {_trainings(chosen)}"
    if chosen.against is not None:
        against = chosen.against
        text += f", {-against.difference:.4g} below never ({-against.upper:.4g} to {-against.lower:.4g})"
    if best.policy != winner:
        text += f"; {best.policy} has {best.mean:.4g} for {_trainings(best)}, which is no sure difference"
    return f"{text}."


def _trainings(policy: PolicySummary) -> str:
    trainings = "1 training" if policy.trainings == 1 else f"{policy.trainings} trainings"
    return f"{trainings} and {duration(policy.seconds)}"


def duration(seconds: float) -> str:
    """Return seconds in writing."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
