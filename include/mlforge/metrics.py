"""Scores of probabilities: the same formulas and names in training, at the gate and in monitoring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# A probability of exactly 0 or 1 would cost an infinite log loss.
SMALLEST_PROBABILITY = 1e-7
CALIBRATION_BINS = 10


def classification_metrics(labels: Vector, probabilities: Vector) -> dict[str, float]:
    """Return auc, log_loss, brier and ece; auc is left out where only one class is there.

    Args:
        labels: 0.0 or 1.0, shape (n_rows,), at least one row.
        probabilities: P(positive), shape (n_rows,).
    """
    metrics = {
        "log_loss": float(log_losses(labels, probabilities).mean()),
        "brier": float(brier_losses(labels, probabilities).mean()),
        "ece": expected_calibration_error(labels, probabilities),
    }
    if 0 < labels.sum() < len(labels):
        metrics["auc"] = area_under_curve(labels, probabilities)
    return metrics


def losses(metric: str, labels: Vector, probabilities: Vector) -> Vector:
    """Return each row's share of `log_loss` or `brier`, shape (n_rows,)."""
    return {"log_loss": log_losses, "brier": brier_losses}[metric](labels, probabilities)


def log_losses(labels: Vector, probabilities: Vector) -> Vector:
    """Return the log loss of each row in nats, shape (n_rows,)."""
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: Vector = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return result


def brier_losses(labels: Vector, probabilities: Vector) -> Vector:
    """Return the squared error of each row, shape (n_rows,)."""
    result: Vector = (probabilities - labels) ** 2
    return result


def area_under_curve(labels: Vector, probabilities: Vector) -> float:
    """Return the share of pairs that are ranked right; a tie counts half.

    Source: Mann and Whitney's U, over mid-ranks.
    """
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = float(labels.sum())
    negatives = len(labels) - positives
    return float((ranks[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def expected_calibration_error(labels: Vector, probabilities: Vector, *, bins: int = CALIBRATION_BINS) -> float:
    """Return the mean distance between promised and observed frequency over bins of equal width.

    Source: Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, 2015.
    """
    promised, observed, rows = calibration_curve(labels, probabilities, bins=bins)
    return float(np.sum(rows * np.abs(promised - observed)) / len(labels))


def calibration_curve(
    labels: Vector, probabilities: Vector, *, bins: int = CALIBRATION_BINS
) -> tuple[Vector, Vector, Vector]:
    """Return mean probability, share of positives and rows of each bin that has rows, shape (≤ bins,) each."""
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    rows = np.bincount(place, minlength=bins).astype(np.float64)
    filled = rows > 0
    promised = np.bincount(place, weights=probabilities, minlength=bins)[filled] / rows[filled]
    observed = np.bincount(place, weights=labels, minlength=bins)[filled] / rows[filled]
    return promised, observed, rows[filled]
