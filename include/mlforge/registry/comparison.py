"""Champion and challenger on the same rows: how much worse may the challenger be, with what certainty."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlforge.metrics import Vector, losses
from mlforge.spec.training import Gates

SEED = 20130101
# Rows times samples that are held in memory at once.
_CHUNK = 2_000_000


class Comparison(BaseModel):
    """The mean difference of losses, challenger less champion: below zero the challenger is better.

    Attributes:
        difference: Mean over the rows.
        lower: Lower end of the paired bootstrap interval.
        upper: Its upper end.
        margin: The upper end may not be above it.
    """

    model_config = ConfigDict(frozen=True)

    metric: Literal["log_loss", "brier"]
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
    """Return the comparison of two models' probabilities for the same rows, shape (n_rows,) each.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993: the percentile interval of paired differences.
    """
    first, second = (losses(gates.metric, labels, values) for values in (challenger, champion))
    differences = first - second
    means = bootstrap_means(differences, samples=gates.bootstrap_samples)
    lower, upper = np.quantile(means, [gates.alpha, 1 - gates.alpha])
    return Comparison(
        metric=gates.metric,
        challenger=float(first.mean()),
        champion=float(second.mean()),
        difference=float(differences.mean()),
        lower=float(lower),
        upper=float(upper),
        margin=gates.non_inferiority_margin,
        rows=len(labels),
        samples=gates.bootstrap_samples,
        confidence=1 - 2 * gates.alpha,
    )


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
