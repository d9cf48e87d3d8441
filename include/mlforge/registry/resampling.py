"""Resampling of test rows, one by one or by whole hours and days, and the interval that it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlforge.metrics import Vector, from_mean

Unit = Literal["row", "hour", "day"]
Clusters = NDArray[np.int64]

SEED = 20130101
# Draws that are held in memory at once.
_CHUNK = 2_000_000
# With fewer resamples beyond an interval's end, where that end lies is chance.
_TAIL = 10
_STEPS: dict[Unit, str] = {"hour": "datetime64[h]", "day": "datetime64[D]"}


def clusters_of(times: NDArray[np.datetime64], unit: Unit) -> Clusters | None:
    """Return the number of the UTC hour or day that each row falls in, from zero; None for single rows.

    Args:
        times: Event timestamps, UTC, shape (n_rows,).
        unit: What is drawn as a whole.
    """
    if unit == "row":
        return None
    return np.unique(times.astype(_STEPS[unit]), return_inverse=True)[1].astype(np.int64)


def resampled_means(values: Vector, clusters: Clusters | None, *, samples: int, seed: int = SEED) -> Vector:
    """Return the mean of each column in each resample, shape (samples, n_columns); the same seed gives the same.

    A resample draws as many rows, or clusters, as there are, with replacement. Of a cluster only its sums matter, so
    that the work does not grow with its rows.

    Args:
        values: Shape (n_rows, n_columns).
        clusters: Which cluster each row is in, shape (n_rows,); None for single rows.
        samples: How many resamples.
        seed: Of the draws.
    """
    sums, sizes = values, None
    if clusters is not None:
        known, places = np.unique(clusters, return_inverse=True)
        sizes = np.bincount(places, minlength=len(known)).astype(np.float64)
        sums = np.column_stack([np.bincount(places, weights=column, minlength=len(known)) for column in values.T])
    generator = np.random.default_rng(seed)
    units = len(sums)
    means = np.empty((samples, values.shape[1]))
    step = max(1, _CHUNK // units)
    for first in range(0, samples, step):
        count = min(step, samples - first)
        drawn = generator.integers(0, units, size=(count, units), dtype=np.int32)
        rows = units if sizes is None else sizes[drawn].sum(axis=1)
        for place, column in enumerate(sums.T):
            means[first : first + count, place] = column[drawn].sum(axis=1) / rows
    return means


@dataclass(frozen=True)
class Resampled:
    """The difference of a metric between two models, and what it is in each resample of the rows.

    Attributes:
        difference: Over all rows: the first model less the second.
        differences: In each resample, shape (samples,).
        units: How many rows, hours or days there were to draw from.
    """

    difference: float
    differences: Vector
    units: int

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return both ends of the interval that leaves out `alpha` on each side.

        The percentile interval, made wider as few units ask for. Where fewer than ten resamples would lie beyond an
        end, it comes from their standard deviation and Student's t instead. At least two units.

        Source: Hesterberg, What teachers should know about the bootstrap, 2015: the expanded percentile interval.
        """
        from scipy.special import stdtrit

        width = float(stdtrit(self.units - 1, 1 - alpha)) * math.sqrt(self.units / (self.units - 1))
        tail = NormalDist().cdf(-width)
        if tail * len(self.differences) >= _TAIL:
            lower, upper = np.quantile(self.differences, [tail, 1 - tail])
            return float(lower), float(upper)
        half = width * float(self.differences.std())
        return self.difference - half, self.difference + half


def resample_difference(
    metric: str, first: Vector, second: Vector, clusters: Clusters | None, *, samples: int
) -> Resampled:
    """Return the difference of a metric between two models, and in resamples of the rows, the same rows for both.

    Args:
        metric: Its name, for how it follows from the mean of losses.
        first: Loss of each row, shape (n_rows,).
        second: Those of the other model.
        clusters: See `clusters_of`.
        samples: How many resamples.
    """
    own, other = (float(from_mean(metric, values.mean())) for values in (first, second))
    units = len(first) if clusters is None else len(np.unique(clusters))
    if metric == "rmse":  # no mean of losses: the root comes after the mean
        means = from_mean(metric, resampled_means(np.column_stack([first, second]), clusters, samples=samples))
        return Resampled(own - other, means[:, 0] - means[:, 1], units)
    means = resampled_means((first - second)[:, None], clusters, samples=samples)
    return Resampled(own - other, means[:, 0], units)
