"""Champion and challenger on the same rows: how much worse may the challenger be, with what certainty."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mlforge.metrics import Vector, from_mean
from mlforge.registry.resampling import Clusters, resample_difference
from mlforge.spec.gates import Gates


class Comparison(BaseModel):
    """The difference of a metric, challenger less champion: below zero the challenger is better.

    Attributes:
        difference: Over all rows.
        lower: Lower end of the paired bootstrap interval.
        upper: Its upper end.
        margin: How far above zero the upper end may be; for superiority it must be below zero.
        rule: `non_inferiority` or `superiority`.
        resample: What was drawn: `row`, `hour` or `day`.
        units: How many of these there were.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    challenger: float
    champion: float
    difference: float
    lower: float
    upper: float
    margin: float
    rows: int
    samples: int
    confidence: float
    rule: str = "non_inferiority"
    resample: str = "row"
    units: int = 0

    @property
    def non_inferior(self) -> bool:
        """Whether the challenger is not worse than the champion by more than the margin."""
        return self.upper <= self.margin

    @property
    def superior(self) -> bool:
        """Whether the challenger is surely better than the champion."""
        return self.upper < 0

    @property
    def passed(self) -> bool:
        """Whether the challenger keeps the rule."""
        return self.superior if self.rule == "superiority" else self.non_inferior


def compare_losses(
    gates: Gates, *, challenger: Vector, champion: Vector, clusters: Clusters | None = None
) -> Comparison:
    """Return the comparison of two models by their losses of the same rows, shape (n_rows,) each.

    Args:
        gates: Metric, rule, margin, alpha and number of resamples.
        challenger: Loss of each row.
        champion: Likewise.
        clusters: Which hour or day each row is in, where these are drawn as a whole; at least two of them.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993: the percentile interval of paired differences.
    """
    found = resample_difference(gates.metric, challenger, champion, clusters, samples=gates.bootstrap_samples)
    lower, upper = found.interval(gates.alpha)
    return Comparison(
        metric=gates.metric,
        challenger=float(from_mean(gates.metric, challenger.mean())),
        champion=float(from_mean(gates.metric, champion.mean())),
        difference=found.difference,
        lower=lower,
        upper=upper,
        margin=gates.non_inferiority_margin,
        rows=len(challenger),
        samples=gates.bootstrap_samples,
        confidence=1 - 2 * gates.alpha,
        rule=gates.rule,
        resample=gates.resample,
        units=found.units,
    )
