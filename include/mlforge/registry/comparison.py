"""Champion and challenger on the same rows: how much worse may the challenger be, with what certainty."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlforge.metrics import Vector, from_mean, losses
from mlforge.spec.gates import Gates

SEED = 20130101
# Rows times samples that are held in memory at once.
_CHUNK = 2_000_000


class Comparison(BaseModel):
    """The difference of a metric, challenger less champion: below zero the challenger is better.

    Attributes:
        difference: Over all rows.
        lower: Lower end of the paired bootstrap interval.
        upper: Its upper end.
        margin: The upper end may not be above it.
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

    @property
    def non_inferior(self) -> bool:
        """Whether the challenger is not worse than the champion by more than the margin."""
        return self.upper <= self.margin


def compare_scores(gates: Gates, labels: Vector, *, challenger: Vector, champion: Vector) -> Comparison:
    """Return the comparison of two models' predictions for the same rows, shape (n_rows,) each.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993: the percentile interval of paired differences.
    """
    first, second = (losses(gates.metric, labels, values) for values in (challenger, champion))
    own, other = (float(from_mean(gates.metric, values.mean())) for values in (first, second))
    differences = _bootstrap_differences(gates, first, second)
    lower, upper = np.quantile(differences, [gates.alpha, 1 - gates.alpha])
    return Comparison(
        metric=gates.metric,
        challenger=own,
        champion=other,
        difference=own - other,
        lower=float(lower),
        upper=float(upper),
        margin=gates.non_inferiority_margin,
        rows=len(labels),
        samples=gates.bootstrap_samples,
        confidence=1 - 2 * gates.alpha,
    )


def _bootstrap_differences(gates: Gates, first: Vector, second: Vector) -> Vector:
    """Return the difference of the metric in each resample, the same rows for both models, shape (samples,)."""
    if gates.metric == "rmse":  # no mean of losses: the root comes after the mean
        own, other = (bootstrap_means(values, samples=gates.bootstrap_samples) for values in (first, second))
        return from_mean("rmse", own) - from_mean("rmse", other)
    return bootstrap_means(first - second, samples=gates.bootstrap_samples)


def bootstrap_means(values: Vector, *, samples: int, seed: int = SEED) -> Vector:
    """Return the mean of each resample of the values, shape (samples,); the same seed gives the same means."""
    generator = np.random.default_rng(seed)
    means = np.empty(samples)
    step = max(1, _CHUNK // len(values))
    for first in range(0, samples, step):
        count = min(step, samples - first)
        chosen = generator.integers(0, len(values), size=(count, len(values)), dtype=np.int32)
        means[first : first + count] = values[chosen].mean(axis=1)
    return means
