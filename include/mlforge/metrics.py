"""Scores of predictions: the same formulas and names in training, at the gate and in monitoring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import TrainingError
from mlforge.spec import UseCase
from mlforge.spec.module import model_function
from mlforge.spec.task import Task

Vector = NDArray[np.float64]

# A probability of exactly 0 or 1 would cost an infinite log loss.
SMALLEST_PROBABILITY = 1e-7
CALIBRATION_BINS = 10


def measure(task: Task, labels: Vector, scores: Vector) -> dict[str, float]:
    """Return the scores of a task's predictions, by name.

    Args:
        task: What is predicted.
        labels: What happened, shape (n_rows,), at least one row.
        scores: What was predicted, shape (n_rows,).
    """
    return {"classification": classification_metrics, "regression": regression_metrics}[task](labels, scores)


def measure_use_case(use_case: UseCase, labels: Vector, scores: Vector) -> dict[str, float]:
    """Return the scores of a use case's predictions, by name: its task's, and those of model.py.

    The latter are `training.metrics` and the means of `training.losses`.

    Args:
        use_case: Whose predictions.
        labels: What happened, shape (n_rows,), at least one row.
        scores: What was predicted, shape (n_rows,).

    Raises:
        SpecError: model.py lacks a function.
        TrainingError: A score is no finite number, or a function of model.py fails.
    """
    measured = measure(use_case.task, labels, scores)
    for name in use_case.training.losses:
        measured[name] = float(use_case_losses(use_case, name, labels, scores).mean())
    for name in use_case.training.metrics:
        value = np.asarray(_call(use_case, name, labels, scores))
        if value.shape != ():
            raise TrainingError(
                f"model.{name} returned {value.shape}", where=use_case.name, hint="a metric is one number"
            )
        measured[name] = float(value)
    wrong = [name for name, value in measured.items() if not np.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"the metric {wrong[0]!r} is {measured[wrong[0]]}",
            where=use_case.name,
            evidence=[f"{name} {value}" for name, value in measured.items()],
            hint="a metric is a finite number: correct the function in model.py, or look at the labels",
        )
    return measured


def use_case_losses(use_case: UseCase, metric: str, labels: Vector, scores: Vector) -> Vector:
    """Return each row's share of a metric as `losses` does, shape (n_rows,); it may be one of `training.losses`.

    Args:
        use_case: Whose model.py has the function.
        metric: Of the use case's task, or of model.py.
        labels: What happened, shape (n_rows,).
        scores: What was predicted, shape (n_rows,).

    Raises:
        SpecError: model.py lacks the function.
        TrainingError: A loss is no finite number, or the function fails.
    """
    if metric not in use_case.training.losses:
        found = losses(metric, labels, scores)
    else:
        found = np.asarray(_call(use_case, metric, labels, scores))
    if found.shape != labels.shape:
        raise TrainingError(
            f"model.{metric} returned {found.shape} for {len(labels)} rows",
            where=use_case.name,
            hint="a loss is one number per row",
        )
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise TrainingError(
            f"the loss {metric!r} is no finite number in {len(wrong)} of {len(labels)} rows",
            where=use_case.name,
            evidence=[f"label {labels[row]}, score {scores[row]}" for row in wrong[:5]],
            hint="correct the function in model.py, or look at the labels",
        )
    return found


def _call(use_case: UseCase, name: str, labels: Vector, scores: Vector) -> Any:
    """Return what a function of model.py says of copies: it cannot change what is measured next."""
    function = model_function(use_case, name)
    try:
        found = np.asarray(function(labels.copy(), scores.copy()), dtype=np.float64)
    except Exception as error:
        raise TrainingError(
            f"model.{name} fails", where=use_case.name, evidence=[repr(error)], hint="correct the function in model.py"
        ) from error
    return found


def regression_metrics(labels: Vector, values: Vector) -> dict[str, float]:
    """Return mae, rmse, bias, relative_bias and r2, in the label's unit but for the last two.

    bias is the mean error, above zero where too much was predicted; relative_bias is its share of the mean label.
    It is left out where that is zero, r2 where all labels are the same.

    Args:
        labels: What happened, shape (n_rows,), at least one row.
        values: What was predicted, shape (n_rows,).
    """
    errors = values - labels
    squared = errors**2
    metrics = {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(squared.mean())),
        "bias": float(errors.mean()),
    }
    center = float(labels.mean())
    if center != 0:
        metrics["relative_bias"] = metrics["bias"] / abs(center)
    spread = float(((labels - center) ** 2).sum())
    if spread > 0:
        metrics["r2"] = 1 - float(squared.sum()) / spread
    return metrics


def classification_metrics(labels: Vector, probabilities: Vector) -> dict[str, float]:
    """Return auc, log_loss, brier and ece; auc is left out where only one class is there.

    Args:
        labels: 0.0 or 1.0, shape (n_rows,), at least one row.
        probabilities: P(positive), shape (n_rows,).
    """
    metrics = {
        "log_loss": float(log_losses(labels, probabilities).mean()),
        "brier": float(squared_errors(labels, probabilities).mean()),
        "ece": expected_calibration_error(labels, probabilities),
    }
    if 0 < labels.sum() < len(labels):
        metrics["auc"] = area_under_curve(labels, probabilities)
    return metrics


def losses(metric: str, labels: Vector, scores: Vector) -> Vector:
    """Return each row's share of a metric, shape (n_rows,); `from_mean` of their mean is the metric.

    Args:
        metric: `log_loss`, `brier`, `mae` or `rmse`.
        labels: What happened, shape (n_rows,).
        scores: What was predicted, shape (n_rows,).
    """
    return _LOSSES[metric](labels, scores)


def from_mean(metric: str, mean: Vector) -> Vector:
    """Return the metric from the mean of its losses: their root for `rmse`, the mean itself for the others."""
    return np.sqrt(mean) if metric == "rmse" else mean


def log_losses(labels: Vector, probabilities: Vector) -> Vector:
    """Return the log loss of each row in nats, shape (n_rows,)."""
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: Vector = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return result


def absolute_errors(labels: Vector, values: Vector) -> Vector:
    """Return the distance between prediction and outcome of each row, shape (n_rows,)."""
    result: Vector = np.abs(values - labels)
    return result


def squared_errors(labels: Vector, values: Vector) -> Vector:
    """Return the squared distance between prediction and outcome of each row, shape (n_rows,)."""
    result: Vector = (values - labels) ** 2
    return result


_LOSSES: Mapping[str, Callable[[Vector, Vector], Vector]] = {
    "log_loss": log_losses,
    "brier": squared_errors,
    "mae": absolute_errors,
    "rmse": squared_errors,
}


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


def decile_curve(labels: Vector, values: Vector, *, bins: int = CALIBRATION_BINS) -> tuple[Vector, Vector]:
    """Return mean prediction and mean outcome of groups of rows with ever larger predictions, shape (≤ bins,) each."""
    groups = [group for group in np.array_split(np.argsort(values, kind="stable"), bins) if len(group)]
    return np.array([values[group].mean() for group in groups]), np.array([labels[group].mean() for group in groups])
